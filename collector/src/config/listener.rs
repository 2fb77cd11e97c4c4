//! An address to listen on that may be left out: `127.0.0.1:4317`, or `off`.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// Where to listen, if at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Nowhere.
    Off,
    /// At an address.
    At(SocketAddr),
}

impl Listener {
    /// The address, if there is one.
    #[must_use]
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::At(address) => Some(address),
        }
    }
}

impl FromStr for Listener {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if matches!(text.trim(), "" | "off") {
            return Ok(Self::Off);
        }
        let wrong = |_| format!("`{text}` is no address: write it like 127.0.0.1:4317, or off");
        text.trim().parse().map(Self::At).map_err(wrong)
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Listener {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl de::Visitor<'_> for Reader {
            type Value = Listener;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an address like 127.0.0.1:4317, or off")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Listener, E> {
                text.parse().map_err(E::custom)
            }

            // YAML 1.1 reads a bare `off` as false.
            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Listener, E> {
                if on {
                    Err(E::custom("say where: an address and a port"))
                } else {
                    Ok(Listener::Off)
                }
            }
        }
        from.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_an_address_or_off() {
        assert_eq!("off".parse(), Ok(Listener::Off));
        assert_eq!("".parse(), Ok(Listener::Off));
        let address = "[::1]:4317".parse().expect("an address");
        assert_eq!("[::1]:4317".parse(), Ok(Listener::At(address)));
        let refused = "4317".parse::<Listener>().expect_err("a port alone");
        assert!(refused.contains("127.0.0.1:4317"), "{refused}");
        assert_eq!(serde_yaml_ng::from_str::<Listener>("off").expect("a word"), Listener::Off);
    }
}
