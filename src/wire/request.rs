//! The request object: what `http.md` section 6 reads from a body, borrowed from the buffers that
//! it was decoded in.

use crate::engine::RequestRuntime;
use crate::engine::value::{Array, Object};

/// One decoded `/flags` or `/decide` body. Types are checked, aliases resolved, defaults applied.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FlagRequest<'a> {
    /// `token`, `$token`, `api_key`; as sent, empty text included.
    pub token: Option<&'a str>,
    /// `distinct_id`, `$distinct_id`; a number as its JSON text; cut to 200 characters when above 200 bytes.
    pub distinct_id: Option<&'a str>,
    /// `geoip_disable`, or `disable_geoip` of the Rust SDK; absent and null are false.
    pub geoip_disable: bool,
    /// `disable_flags`; absent and null are false.
    pub disable_flags: bool,
    /// `person_properties`, `$properties`.
    pub person_properties: Option<Object<'a>>,
    /// `groups`, `$groups`.
    pub groups: Option<Object<'a>>,
    /// `group_properties`, `$group_properties`: every value is an object, or (our tolerance) null or
    /// an empty array, which count as an empty object.
    pub group_properties: Option<Object<'a>>,
    /// `anon_distinct_id`, `$anon_distinct_id`; never cut.
    pub anon_distinct_id: Option<&'a str>,
    /// `device_id`, `$device_id` when not empty, else a non-empty text `person_properties.$device_id`.
    pub device_id: Option<&'a str>,
    /// `flag_keys`, `flag_keys_to_evaluate`: every element is a string. `Some` of an empty list means none.
    pub flag_keys: Option<Array<'a>>,
    /// `timezone`, for cookieless mode.
    pub timezone: Option<&'a str>,
    /// `evaluation_contexts`, `evaluation_environments`: every element is a string.
    pub evaluation_contexts: Option<Array<'a>>,
    /// `evaluation_runtime`; unknown text counts as `all`.
    pub evaluation_runtime: Option<RequestRuntime>,
    /// `cookieless_hash_extra`.
    pub cookieless_hash_extra: Option<&'a str>,
}
