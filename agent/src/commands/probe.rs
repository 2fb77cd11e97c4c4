//! `sonde-agent probe`: what this kernel allows, and why not where it does not.

use std::{fmt::Write as _, io::IsTerminal as _};

use super::say;
use crate::kernel::{Feature, Need, probe as probe_kernel};

/// Something is missing that the agent cannot do without.
#[derive(Debug, thiserror::Error)]
#[error("this kernel or these rights do not allow sampling: {0}")]
pub(super) struct Unusable(String);

pub(super) fn probe() -> anyhow::Result<()> {
    let features = probe_kernel();
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    say(&report(&features, colour));
    let missing: Vec<&str> = features
        .iter()
        .filter(|feature| feature.need == Need::Required && feature.state.is_err())
        .map(|feature| feature.name)
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(Unusable(missing.join(", ")).into()) }
}

fn report(features: &[Feature], colour: bool) -> String {
    let width = features.iter().map(|feature| feature.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Feature { name, purpose, need, state } in features {
        let (mark, code) = match (state, need) {
            (Ok(_), _) => ("yes", 32),
            (Err(_), Need::Required) => ("NO", 31),
            (Err(_), Need::Optional) => ("no", 33),
        };
        let (paint, reset) =
            if colour { (format!("\x1b[{code}m"), "\x1b[0m") } else { <_>::default() };
        let (Ok(found) | Err(found)) = state;
        let line = format!("{paint}{mark:<3}{reset}  {name:<width$}  {found}");
        writeln!(text, "{line}").expect("writing to a String does not fail");
        if state.is_err() {
            writeln!(text, "     {:width$}  needed to {purpose}", "")
                .expect("writing to a String does not fail");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_no_says_why_and_what_it_is_needed_for() {
        let features = [
            Feature { name: "a", purpose: "see", need: Need::Required, state: Ok("fine".into()) },
            Feature {
                name: "bb",
                purpose: "hear",
                need: Need::Optional,
                state: Err("deaf".into()),
            },
        ];
        let expected = "yes  a   fine\nno   bb  deaf\n         needed to hear\n";
        assert_eq!(report(&features, false), expected);
    }
}
