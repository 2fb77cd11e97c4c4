//! The merged profile, trimmed to a screen, and its table of functions.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use rustc_hash::FxHashMap;
use serde_json::{Value, json};

use super::error::ApiError;
use super::params::{Params, Question};
use super::trees::MergedTree;
use super::{Api, Turn};
use crate::query::{self, NodeId, Pattern, Sort, Tree, View};
use crate::store::{Select, Unread};

impl Api {
    /// The merged tree of a question, from the cache or newly merged.
    pub(super) async fn tree(&self, question: &Question) -> Result<Arc<MergedTree>, ApiError> {
        let store = &self.0.store;
        let fresh = |version: u64, select: &Select| !store.changed_since(version, select);
        self.0.trees.get(question, fresh, self.merge(question)).await
    }

    async fn merge(&self, question: &Question) -> Result<MergedTree, ApiError> {
        let turn: Turn = self.turn().await?;
        let (snapshot, select) = (&question.snapshot, &question.select);
        let symbols = snapshot.symbols();
        let (tree, events, unknown) = if question.of_one_service() {
            let merged = snapshot.merge(select).await?;
            let build = move || (turn, Tree::build(&merged.stacks, &symbols)).1;
            (self.compute(build).await?, merged.events, merged.value_without_period)
        } else {
            let merged = snapshot.merge_by_service(select).await?;
            let build = move || (turn, Tree::build_by_service(&merged.services, &symbols)).1;
            (self.compute(build).await?, merged.events, merged.value_without_period)
        };
        let unread = snapshot.unread(select.from_unix_ms, select.until_unix_ms);
        Ok(MergedTree { tree, events: (unknown == 0).then_some(events), unread })
    }
}

/// `GET /api/v1/profile/tree`
pub(super) async fn tree(State(api): State<Api>, params: Params) -> Result<Json<Value>, ApiError> {
    let question = params.question(api.snapshot())?;
    let width = params.number("width", 1200_u32, 1..=16_384)?;
    let (root, pattern) = (params.root()?, params.pattern()?);
    let q = params.text("q").unwrap_or("").to_owned();
    let merged = api.tree(&question).await?;
    let answer = move || {
        let mut answer = draw(&merged, root, width);
        answer["match"] =
            pattern.map_or(Value::Null, |pattern| found(&merged.tree, root, width, &pattern, &q));
        answer
    };
    let mut answer = api.compute(answer).await?;
    answer["type"] = question.type_text.as_str().into();
    answer["unit"] = question.profile_type().map_or("", |of| &of.sample_unit).into();
    answer["from_ms"] = question.range.from_ms.into();
    answer["until_ms"] = question.range.until_ms.into();
    answer["window_ms"] = question.window_ms.into();
    Ok(Json(answer))
}

fn draw(merged: &MergedTree, root: NodeId, width: u32) -> Value {
    let tree = &merged.tree;
    let found = tree.find(root);
    let root = found.unwrap_or(0);
    let view = query::trim(tree, root, width);
    let screen = Screen::of(tree, &view);
    let frame = |node: usize| {
        let (own, total) = tree.values(node);
        let frame = tree.frame(node);
        json!({
            "name": frame.map_or("all", |frame| &frame.name),
            "binary": frame.map_or("", |frame| &frame.binary),
            "kind": frame.map_or(query::Kind::Native, |frame| frame.kind),
            "id": tree.id(node).to_string(), "total": total, "self": own,
        })
    };
    let column = |of: fn(&query::Node) -> Value| view.nodes.iter().map(of).collect::<Vec<_>>();
    let values = |of: fn((i64, i64)) -> i64| {
        view.nodes.iter().map(|node| of(tree.values(node.node))).collect::<Vec<_>>()
    };
    let fillers = |of: fn(&query::Filler) -> Value| view.fillers.iter().map(of).collect::<Vec<_>>();
    json!({
        "total": tree.total(),
        "events": merged.events,
        "nodes_in_tree": tree.len(),
        "root": { "id": tree.id(root).to_string(), "total": tree.values(root).1 },
        "root_missing": found.is_none(),
        "path": tree.path(root).into_iter().map(frame).collect::<Vec<_>>(),
        "names": screen.names.texts, "binaries": screen.binaries.texts, "files": screen.files.texts,
        "nodes": {
            "depth": column(|node| node.depth.into()), "x": column(|node| node.x.into()),
            "name": screen.name, "binary": screen.binary, "kind": screen.kind,
            "file": screen.file, "line": screen.line,
            "self": values(|(own, _)| own), "total": values(|(_, total)| total),
        },
        "fillers": {
            "depth": fillers(|filler| filler.depth.into()), "x": fillers(|filler| filler.x.into()),
            "total": fillers(|filler| filler.total.into()),
            "frames": fillers(|filler| filler.frames.into()),
            "parent": fillers(|filler| filler.parent.into()),
        },
        "max_depth": view.max_depth,
        "unread": unread(&merged.unread),
    })
}

/// Stored files that the answer lacks, by name.
pub(super) fn unread(files: &[Unread]) -> Vec<Value> {
    files.iter().map(|one| json!({ "file": one.file, "samples": one.samples })).collect()
}

/// Texts that a screen shows, each once.
#[derive(Default)]
struct Texts<'a> {
    texts: Vec<&'a str>,
    known: FxHashMap<&'a str, usize>,
}

impl<'a> Texts<'a> {
    fn index(&mut self, text: &'a str) -> usize {
        *self.known.entry(text).or_insert_with(|| {
            self.texts.push(text);
            self.texts.len() - 1
        })
    }
}

/// Columns of the boxes that a view shows.
#[derive(Default)]
struct Screen<'a> {
    names: Texts<'a>,
    binaries: Texts<'a>,
    files: Texts<'a>,
    name: Vec<usize>,
    binary: Vec<usize>,
    kind: Vec<u8>,
    file: Vec<usize>,
    line: Vec<u32>,
}

impl<'a> Screen<'a> {
    fn of(tree: &'a Tree, view: &View) -> Self {
        let mut screen = Self::default();
        for node in &view.nodes {
            let frame = tree.frame(node.node);
            let (file, line) = tree.source(node.node);
            screen.name.push(screen.names.index(frame.map_or("all", |frame| &frame.name)));
            screen.binary.push(screen.binaries.index(frame.map_or("", |frame| &frame.binary)));
            screen.kind.push(frame.map_or(query::Kind::Native, |frame| frame.kind).into());
            screen.file.push(screen.files.index(file));
            screen.line.push(line);
        }
        screen
    }
}

fn found(tree: &Tree, root: NodeId, width: u32, pattern: &Pattern, q: &str) -> Value {
    let root = tree.find(root).unwrap_or(0);
    let view = query::trim(tree, root, width);
    let screen = Screen::of(tree, &view);
    let matches = query::search(tree, root, pattern);
    // `all` is no function, so a pattern does not find it, but a function may be called that.
    let shown = view
        .nodes
        .iter()
        .zip(&screen.name)
        .filter(|(node, _)| tree.frame(node.node).is_some_and(|frame| frame.kind.is_code()));
    let mut names: Vec<usize> = shown
        .map(|(_, &name)| name)
        .filter(|&name| pattern.is_match(screen.names.texts[name]))
        .collect();
    names.sort_unstable();
    names.dedup();
    json!({
        "q": q, "functions": matches.functions, "frames": matches.frames, "total": matches.total,
        "names": names,
    })
}

/// `GET /api/v1/profile/top`
pub(super) async fn top(State(api): State<Api>, params: Params) -> Result<Json<Value>, ApiError> {
    let question = params.question(api.snapshot())?;
    let sort =
        if params.word("sort", &["total", "self"])? == "self" { Sort::Own } else { Sort::Total };
    let ascending = params.word("order", &["desc", "asc"])? == "asc";
    let offset = params.number("offset", 0_usize, 0..=usize::MAX)?;
    let limit = params.number("limit", 100_usize, 1..=10_000)?;
    let (root, pattern) = (params.root()?, params.pattern()?);
    let merged = api.tree(&question).await?;
    let answer = move || {
        let tree = &merged.tree;
        let root_node = tree.find(root);
        let from = root_node.unwrap_or(0);
        let rows = query::top(tree, from, pattern.as_ref(), sort, ascending);
        let page = rows.iter().skip(offset).take(limit).map(|row| {
            let frame = &tree.frames[row.frame];
            let (file, line) = tree.source(row.node);
            json!({
                "name": frame.name, "binary": frame.binary, "kind": frame.kind,
                "file": file, "line": line, "self": row.own, "total": row.total,
            })
        });
        json!({
            "total": tree.values(from).1, "functions": rows.len(),
            "root_missing": root_node.is_none(), "rows": page.collect::<Vec<_>>(),
            "unread": unread(&merged.unread),
        })
    };
    let mut answer = api.compute(answer).await?;
    answer["unit"] = question.profile_type().map_or("", |of| &of.sample_unit).into();
    answer["from_ms"] = question.range.from_ms.into();
    answer["until_ms"] = question.range.until_ms.into();
    Ok(Json(answer))
}
