//! What is in `deploy/` fits this agent: its flags, its variables, its capabilities.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use clap::Parser as _;
use serde::Deserialize as _;
use serde_yaml_ng::{Deserializer, Value};

use super::{Cli, Command, Settings, run_settings};

fn deployed(file: &str) -> String {
    // Of the checkout that cargo runs in: two may share a target folder, and with it this test.
    let path = Path::new("../deploy").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn documents(file: &str) -> Vec<Value> {
    let text = deployed(file);
    Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap()).collect()
}

fn pod() -> Value {
    documents("kubernetes/agent.yaml").remove(0)["spec"]["template"]["spec"].clone()
}

fn words(list: &Value) -> Vec<String> {
    let words = list.as_sequence().unwrap().iter();
    words.map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// What `run` does with these arguments where every variable of the manifest is `node-1`.
fn settings(container: &Value) -> Settings {
    let typed = [vec!["sonde-agent".to_owned()], words(&container["args"])].concat();
    let Command::Run(args) = Cli::try_parse_from(typed).unwrap().command else {
        panic!("the manifest does not `run`")
    };
    let variables = container["env"].as_sequence().unwrap();
    let value = |name: &str| {
        variables.iter().any(|variable| variable["name"] == name).then(|| "node-1".to_owned())
    };
    run_settings(&args, &value).unwrap().settings
}

#[test]
fn the_daemon_set_s_flags_and_variables_are_the_agent_s() {
    let container = &pod()["containers"][0];
    let settings = settings(container);
    assert_eq!(settings.host.as_deref(), Some("node-1"));
    let port = container["ports"][0]["containerPort"].as_u64();
    assert_eq!(port, Some(settings.listen.port().into()));
    assert!(settings.listen.ip().is_unspecified(), "probes come from outside the pod");
}

#[test]
fn the_daemon_set_pushes_to_the_collector_s_service() {
    let collector = settings(&pod()["containers"][0]).collector;
    let service = documents("kubernetes/collector.yaml").into_iter();
    let service = service.filter(|document| document["kind"] == "Service").collect::<Vec<_>>();
    let [service] = &service[..] else { panic!("{} services", service.len()) };
    let (name, port) = (&service["metadata"]["name"], &service["spec"]["ports"][0]["port"]);
    let expected = format!("http://{}:{}", name.as_str().unwrap(), port.as_u64().unwrap());
    assert_eq!(collector, expected);
}

#[test]
fn the_daemon_set_has_the_capabilities_of_the_unit_and_no_others() {
    let pod = pod();
    assert_eq!(pod["hostPID"], true);
    let rights = &pod["containers"][0]["securityContext"];
    assert_eq!(words(&rights["capabilities"]["drop"]), ["ALL"]);
    assert_eq!(rights["privileged"], false);
    let unit = deployed("systemd/sonde-agent.service");
    let bounds = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let bounds = bounds.unwrap().split(' ').map(|name| name.strip_prefix("CAP_").unwrap());
    assert_eq!(words(&rights["capabilities"]["add"]), bounds.collect::<Vec<_>>());
}

#[test]
fn the_image_starts_the_agent_with_words_it_knows() {
    let file = deployed("container/Dockerfile");
    let stage = file.split("\nFROM ").find(|stage| stage.starts_with("run AS agent")).unwrap();
    let list = |word: &str| -> Vec<String> {
        let text = stage.lines().find_map(|line| line.strip_prefix(word)).unwrap();
        words(&serde_yaml_ng::from_str(text).unwrap())
    };
    let typed = [list("ENTRYPOINT "), list("CMD ")].concat();
    assert_eq!(typed[0], "sonde-agent");
    assert!(matches!(Cli::try_parse_from(typed).unwrap().command, Command::Run(_)));
}
