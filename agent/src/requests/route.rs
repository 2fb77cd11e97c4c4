//! What many paths have in common: the parts that name one thing among many are folded.

use std::fmt::Write as _;

/// Parts of a path that are looked at; what is behind them is one part.
const MAX_PARTS: usize = 12;
/// Bytes of a route.
const MAX_BYTES: usize = 256;
/// Letters and digits mixed in so many characters are an id.
const MIN_TOKEN: usize = 12;
/// Hex digits in so many characters are a hash.
const MIN_HEX: usize = 8;

/// The route of a path: `/users/42/orders/6f1c…` is `/users/{id}/orders/{id}`. Empty where the target
/// is no path.
#[must_use]
pub fn route_of(path: &str) -> String {
    if !path.starts_with('/') {
        return if path == "*" { "*".into() } else { String::new() };
    }
    let mut route = String::with_capacity(path.len().min(MAX_BYTES));
    for (number, part) in path.split('/').skip(1).enumerate() {
        if number == MAX_PARTS || route.len() + part.len() > MAX_BYTES {
            route.push_str("/{rest}");
            return route;
        }
        route.push('/');
        match part.rsplit_once('.') {
            // The kind of a file says more than its name.
            Some((name, kind)) if is_id(name) && is_kind(kind) && !part.contains('@') => {
                let _infallible = write!(route, "{{id}}.{kind}");
            }
            _ if is_id(part) => route.push_str("{id}"),
            _ => route.push_str(part),
        }
    }
    route
}

fn is_kind(kind: &str) -> bool {
    (1..=5).contains(&kind.len()) && kind.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether a part names one thing among many: a number, a UUID, a hash, a token, an address.
fn is_id(part: &str) -> bool {
    let (mut digits, mut letters, mut hex, mut others) = (0, 0, 0, 0);
    for byte in part.bytes() {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'a'..=b'z' | b'A'..=b'Z' => letters += 1,
            b'-' | b'_' | b'.' | b':' | b'~' | b'@' | b'%' | b'=' | b',' => others += 1,
            _ => return true, // No identifier of a program has it.
        }
        hex += usize::from(byte.is_ascii_hexdigit());
    }
    if digits == 0 {
        return part.contains('@') || part.len() >= 48;
    }
    let all = part.len();
    // `v1`, `2024-05-01`, `10.0.0.1`, `shard-17`: numbers with little around them, but for versions.
    let is_version = digits <= 2 && part.starts_with(['v', 'V']) && letters == 1;
    let is_number = letters == 0 || (digits >= 3 && letters <= 3 && !is_version);
    let is_hash = hex + others == all && hex >= MIN_HEX && digits * 8 >= hex;
    let is_token = all >= MIN_TOKEN && digits * 5 >= digits + letters;
    !is_version && (is_number || is_hash || is_token)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_that_name_one_thing_among_many_are_folded() {
        for (path, route) in [
            ("/", "/"),
            ("/users/42", "/users/{id}"),
            ("/users/42/orders/9b2d7c1e-88aa-4f3e-9a55-0c1d2e3f4a5b", "/users/{id}/orders/{id}"),
            ("/api/v1/items", "/api/v1/items"),
            ("/static/app.3f9a8b7c6d.js", "/static/{id}.js"),
            ("/static/logo.png", "/static/logo.png"),
            ("/blob/e3b0c44298fc1c149afbf4c8996fb924", "/blob/{id}"),
            ("/reports/2024-05-01", "/reports/{id}"),
            ("/mail/someone@example.org", "/mail/{id}"),
            ("/health", "/health"),
            ("/oauth2/token", "/oauth2/token"),
            ("*", "*"),
        ] {
            assert_eq!(route_of(path), route, "{path}");
        }
    }

    #[test]
    fn a_path_of_any_length_has_a_short_route() {
        let deep = "/a".repeat(1000);
        assert!(route_of(&deep).ends_with("/a/{rest}"));
        assert!(route_of(&"/words".repeat(500)).len() <= MAX_BYTES + 8);
    }

    proptest! {
        #[test]
        fn a_route_is_its_own_route_and_is_bounded(path in "(/[a-z0-9.@%-]{0,40}){0,20}") {
            let route = route_of(&path);
            prop_assert!(route.len() <= MAX_BYTES + 8, "{route}");
        }
    }
}
