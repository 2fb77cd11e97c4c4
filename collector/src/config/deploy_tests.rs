//! What is in `deploy/` fits this collector: its flags, its port, its folder.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use clap::Parser as _;
use serde::Deserialize as _;
use serde_yaml_ng::{Deserializer, Value};

use super::{Args, Command, Settings};

fn deployed(file: &str) -> String {
    // Of the checkout that cargo runs in: two may share a target folder, and with it this test.
    let path = Path::new("../deploy").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn document(kind: &str) -> Value {
    let text = deployed("kubernetes/collector.yaml");
    let documents = Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap());
    documents.into_iter().find(|document| document["kind"] == kind).unwrap()
}

fn words(list: &Value) -> Vec<String> {
    let words = list.as_sequence().unwrap().iter();
    words.map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn settings(typed: Vec<String>) -> Settings {
    let Command::Serve(args) = Args::try_parse_from(typed).unwrap().command else {
        panic!("does not `serve`")
    };
    Settings::resolve(&args).unwrap()
}

#[test]
fn the_deployment_s_flags_port_and_volume_fit_together() {
    let pod = document("Deployment")["spec"]["template"]["spec"].clone();
    let container = &pod["containers"][0];
    let settings = settings([vec!["sonde-collector".into()], words(&container["args"])].concat());
    assert_eq!(
        container["ports"][0]["containerPort"].as_u64(),
        Some(settings.listen.port().into())
    );
    assert!(settings.listen.ip().is_unspecified(), "agents come from outside the pod");
    let mounts = container["volumeMounts"].as_sequence().unwrap();
    let mount = mounts.iter().find(|mount| mount["name"] == "data").unwrap();
    assert_eq!(mount["mountPath"].as_str().map(Path::new), Some(&*settings.store.data_dir));
    let asked = &document("PersistentVolumeClaim")["spec"]["resources"]["requests"]["storage"];
    let gib: u64 = asked.as_str().unwrap().strip_suffix("Gi").unwrap().parse().unwrap();
    assert!(settings.store.retention_bytes < gib << 30, "the volume holds what is kept");
}

#[test]
fn the_deployment_gives_the_collector_no_rights() {
    let pod = document("Deployment")["spec"]["template"]["spec"].clone();
    let rights = &pod["containers"][0]["securityContext"];
    assert_eq!(words(&rights["capabilities"]["drop"]), ["ALL"]);
    assert_eq!(rights["capabilities"]["add"], Value::Null);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
}

#[test]
fn the_image_starts_the_collector_with_words_it_knows() {
    let file = deployed("container/Dockerfile");
    let stage = file.split("\nFROM ").find(|stage| stage.starts_with("run AS collector")).unwrap();
    let list = |word: &str| -> Vec<String> {
        let text = stage.lines().find_map(|line| line.strip_prefix(word)).unwrap();
        words(&serde_yaml_ng::from_str(text).unwrap())
    };
    let typed = [list("ENTRYPOINT "), list("CMD ")].concat();
    assert_eq!(typed[0], "sonde-collector");
    let settings = settings(typed);
    assert!(stage.contains(&format!("VOLUME {}", settings.store.data_dir.display())));
    assert!(stage.contains(&format!("EXPOSE {}", settings.listen.port())));
}
