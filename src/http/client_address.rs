//! The client's IP address (`http.md` 4.2).
//!
//! By default the leftmost hop is believed, as upstream does, so a client can name any address it likes
//! unless a proxy overwrites the headers. Where the number of proxies in front is known (`TRUSTED_PROXY_HOPS`), only
//! what they wrote is believed.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::HeaderName;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static VIEWER_ADDRESS: HeaderName = HeaderName::from_static("cloudfront-viewer-address");

/// Headers that hold one bare address, in the order in which they are asked.
static SINGLE_ADDRESS: [HeaderName; 4] = [
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("fly-client-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("cf-connecting-ip"),
];

/// The address that a request comes from.
///
/// `trusted_hops` 0: as its headers say, else `peer`. Otherwise the entry of `X-Forwarded-For` that is so many from the
/// right, over all lines; `peer` when there are fewer, or when that one is no address, because such a request
/// did not come through the proxies. Other headers are not looked at then: clients can send them.
#[must_use]
pub fn client_address(headers: &HeaderMap, peer: IpAddr, trusted_hops: usize) -> IpAddr {
    if let Some(to_its_right) = trusted_hops.checked_sub(1) {
        return from_the_right(headers, to_its_right).unwrap_or(peer);
    }
    text(headers, &FORWARDED_FOR)
        .and_then(|line| without_port(first_entry(line)).parse().ok())
        .or_else(|| any_forwarded_for(headers))
        .or_else(|| forwarded(headers))
        .or_else(|| {
            SINGLE_ADDRESS
                .iter()
                .find_map(|name| text(headers, name)?.trim().parse().ok())
        })
        .or_else(|| viewer(headers))
        .unwrap_or(peer)
}

fn from_the_right(headers: &HeaderMap, to_its_right: usize) -> Option<IpAddr> {
    let entry = headers
        .get_all(&FORWARDED_FOR)
        .iter()
        .rev()
        .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
        .nth(to_its_right)?;
    without_port(str::from_utf8(entry).ok()?.trim()).parse().ok()
}

/// A header's first line, if it is visible ASCII.
fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn first_entry(line: &str) -> &str {
    line.split(',').next().unwrap_or(line).trim()
}

fn without_port(entry: &str) -> &str {
    if let Some(bracketed) = entry.strip_prefix('[') {
        return bracketed.split_once(']').map_or(entry, |(address, _)| address);
    }
    // Only IPv4 has dots before its port; the colons of a bare IPv6 address stand for nothing.
    match (entry.rfind('.'), entry.rfind(':')) {
        (Some(dot), Some(_)) => match entry[dot..].find(':') {
            Some(colon) => &entry[..dot + colon],
            None => entry,
        },
        _ => entry,
    }
}

/// The leftmost entry that is an address, over all lines.
fn any_forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    headers
        .get_all(&FORWARDED_FOR)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .find_map(|entry| entry.trim().parse().ok())
}

/// The leftmost `for=` of `Forwarded` that is an address.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    headers
        .get_all(&hyper::header::FORWARDED)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split([',', ';']))
        .find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            if !name.trim().eq_ignore_ascii_case("for") {
                return None;
            }
            let value = value.trim().trim_matches('"');
            without_port(value).parse().ok()
        })
}

/// `CloudFront-Viewer-Address`: the port stands behind the last colon, IPv6 has no brackets.
fn viewer(headers: &HeaderMap) -> Option<IpAddr> {
    let value = text(headers, &VIEWER_ADDRESS)?.trim();
    let (address, _) = value.rsplit_once(':')?;
    address
        .parse()
        .ok()
        .or_else(|| value.parse().ok().map(|address: SocketAddr| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[track_caller]
    fn is(lines: &[(&'static str, &str)], expected: &str) {
        is_behind(0, lines, expected);
    }

    #[track_caller]
    fn is_behind(trusted_hops: usize, lines: &[(&'static str, &str)], expected: &str) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        assert_eq!(
            client_address(&headers, PEER, trusted_hops).to_string(),
            expected,
            "{trusted_hops}: {lines:?}"
        );
    }

    #[test]
    fn behind_trusted_proxies_only_what_they_wrote_counts() {
        let two_lines = [
            ("x-forwarded-for", "198.51.100.1, 203.0.113.9:51234"),
            ("x-forwarded-for", "[2001:db8::1]:443 , 10.0.0.1"),
            ("x-real-ip", "198.51.100.2"),
        ];
        let from_the_right = ["10.0.0.1", "2001:db8::1", "203.0.113.9", "198.51.100.1"];
        for (to_its_right, expected) in from_the_right.iter().enumerate() {
            is_behind(to_its_right + 1, &two_lines, expected);
        }
        // Fewer entries than proxies: somebody went around them.
        is_behind(5, &two_lines, "192.0.2.1");
        is_behind(1, &[("x-real-ip", "198.51.100.2")], "192.0.2.1");
        is_behind(1, &[("x-forwarded-for", "203.0.113.9, unknown")], "192.0.2.1");
        is_behind(1, &[("x-forwarded-for", "caf\u{e9}, 203.0.113.9")], "203.0.113.9");
        is_behind(1, &[("x-forwarded-for", "203.0.113.9, caf\u{e9}")], "192.0.2.1");
    }

    #[test]
    fn the_leftmost_forwarded_hop_without_its_port() {
        let forwarded = |value: &str, expected: &str| is(&[("x-forwarded-for", value)], expected);
        forwarded("203.0.113.9", "203.0.113.9");
        forwarded(" 203.0.113.9:51234 , 10.0.0.1", "203.0.113.9");
        forwarded("[2001:db8::1]:443", "2001:db8::1");
        forwarded("[2001:db8::1]", "2001:db8::1");
        forwarded("2001:db8::1, 10.0.0.1", "2001:db8::1");
        forwarded("::ffff:203.0.113.9", "::ffff:203.0.113.9");
    }

    #[test]
    fn later_hops_when_the_first_is_no_address() {
        is(&[("x-forwarded-for", "unknown, 10.0.0.1")], "10.0.0.1");
        is(
            &[("x-forwarded-for", "unknown"), ("x-forwarded-for", "x, 10.0.0.2")],
            "10.0.0.2",
        );
        is(
            &[("x-forwarded-for", "caf\u{e9}"), ("x-real-ip", "10.0.0.3")],
            "10.0.0.3",
        );
    }

    #[test]
    fn other_headers_in_their_order() {
        let all = [
            ("forwarded", "by=10.1.0.0;For=\"[2001:db8::7]:80\", for=10.1.0.1"),
            ("x-real-ip", "10.1.0.2"),
            ("fly-client-ip", "10.1.0.3"),
            ("true-client-ip", "10.1.0.4"),
            ("cf-connecting-ip", "10.1.0.5"),
            ("cloudfront-viewer-address", "2001:db8::8:4711"),
        ];
        let expected = [
            "2001:db8::7",
            "10.1.0.2",
            "10.1.0.3",
            "10.1.0.4",
            "10.1.0.5",
            "2001:db8::8",
        ];
        for (from, expected) in expected.iter().enumerate() {
            is(&all[from..], expected);
        }
        is(
            &[("forwarded", "for=unknown;proto=http, for=10.1.0.1:99")],
            "10.1.0.1",
        );
        is(&[("cloudfront-viewer-address", "10.1.0.6:4711")], "10.1.0.6");
    }

    #[test]
    fn the_peer_when_no_header_helps() {
        is(&[], "192.0.2.1");
        let broken = [
            ("x-forwarded-for", ""),
            ("x-real-ip", "x"),
            ("cloudfront-viewer-address", "10.1.0.6"),
            ("forwarded", "for"),
        ];
        is(&broken, "192.0.2.1");
        is(&[("x-forwarded-for", "[2001:db8::1")], "192.0.2.1");
    }
}
