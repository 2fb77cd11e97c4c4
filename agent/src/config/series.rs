//! What goes with every push: labels, headers and credentials.

use std::path::Path;

use super::kind::{LINE, SECRET};
use super::layers::Source;
use super::resolve::Resolver;
use super::run::Origin;
use super::{Secret, file, parse, show};
use crate::export::push::Credentials;

impl Resolver<'_> {
    pub(super) fn labels(&mut self) -> Vec<(String, String)> {
        let (labels, source) = self.pairs("labels");
        for (name, _) in labels.iter().filter(|(name, _)| !parse::is_label_name(name)) {
            let what = format!("{name:?} is no label name");
            let remedy = "use letters, digits, `_` and `.`, no digit and no `__` in front";
            self.wrong(source.clone(), "labels", what, remedy);
        }
        self.origins.push(Origin { key: "labels", value: show::pairs(&labels), source });
        labels
    }

    pub(super) fn headers(&mut self) -> Vec<(String, Secret)> {
        let (headers, source) = self.pairs("headers");
        for (name, value) in &headers {
            let sendable = name.parse::<reqwest::header::HeaderName>().is_ok()
                && value.parse::<reqwest::header::HeaderValue>().is_ok();
            if !sendable {
                let what = format!("{name:?} or its value cannot be an HTTP header");
                self.wrong(source.clone(), "headers", what, "use visible ASCII letters");
            }
        }
        let headers: Vec<(String, Secret)> =
            headers.into_iter().map(|(name, value)| (name, value.into())).collect();
        self.origins.push(Origin { key: "headers", value: show::pairs(&headers), source });
        headers
    }

    /// At most one of token, token file and name with password.
    pub(super) fn credentials(&mut self) -> Option<Credentials> {
        let token = self.optional("bearer_token", &SECRET);
        let file = self.optional("bearer_token_file", &LINE);
        let basic = self.optional("basic_auth", &SECRET);
        if [token.is_some(), file.is_some(), basic.is_some()].iter().filter(|set| **set).count() > 1
        {
            let source =
                self.source_of("basic_auth").or_else(|| self.source_of("bearer_token_file"));
            let what = "more than one way to authenticate is set".to_owned();
            let remedy = "keep one of bearer_token, bearer_token_file and basic_auth";
            self.wrong(source.unwrap_or(Source::Default), "", what, remedy);
            return None;
        }
        let token = token.or_else(|| file.and_then(|path| self.token_in(&path)));
        token.map(Credentials::Bearer).or_else(|| basic.and_then(|both| self.basic(&both)))
    }

    fn token_in(&mut self, path: &str) -> Option<Secret> {
        let token = file::read_text(Path::new(path)).map(|text| parse::line(&text));
        let what = match token {
            Ok(Some(token)) => return Some(token.into()),
            Ok(None) => format!("{path:?} does not hold one line of text"),
            Err(error) => format!("{path:?}: {error}"),
        };
        let source = self.source_of("bearer_token_file").unwrap_or(Source::Default);
        self.wrong(source, "bearer_token_file", what, "name a file that holds the token alone");
        None
    }

    fn basic(&mut self, both: &Secret) -> Option<Credentials> {
        if let Some((user, password)) = both.expose().split_once(':') {
            return Some(Credentials::Basic(user.to_owned(), Secret::from(password.to_owned())));
        }
        let source = self.source_of("basic_auth").unwrap_or(Source::Default);
        self.wrong(source, "basic_auth", "*** has no `:`".to_owned(), "write name:password");
        None
    }
}
