//! The config fields that `config=true` adds (`http.md` 11).

/// Appends the fallback of `http.md` 11.3 with a leading comma. `has_flags`: the answer's flag map is not empty.
pub fn write_fallback_config(has_flags: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"hasFeatureFlags\":");
    out.extend_from_slice(if has_flags { b"true" } else { b"false" });
    out.extend_from_slice(
        b",\"supportedCompression\":[\"gzip\",\"gzip-js\"],\"sessionRecording\":false,\"surveys\":false,\
          \"heatmaps\":false,\"capturePerformance\":false,\"autocaptureExceptions\":false,\
          \"isAuthenticated\":false,\"toolbarParams\":{},\"config\":{\"enable_collect_everything\":true}",
    );
}
