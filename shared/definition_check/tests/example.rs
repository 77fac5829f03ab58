//! The example that is delivered: checked, compiled and resolved with the sample of a push.

use definition::{compile, plan_root, resolve};
use definition_check::check;
use expression::{Budget, Environment, Value as Seen};
use jiff::Timestamp;
use serde_json::{Value, json};

struct World {
    nodes: Value,
    root: Value,
}

impl Environment for World {
    fn variable(&self, name: &str) -> Option<Seen<'_>> {
        (name == "$").then(|| Seen::json(&self.nodes))
    }

    fn call(&self, name: &str, _args: &[Seen<'_>]) -> Option<Result<Seen<'_>, String>> {
        (name == "root").then(|| Ok(Seen::json(&self.root)))
    }
}

#[test]
fn the_example_resolves_with_the_sample_of_a_push() {
    let text = include_str!("../../../examples/notify-on-push.yaml");
    let checked = check(text).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let body: Value = serde_json::from_str(include_str!("../../../examples/github-push.json")).unwrap();
    let compiled = compile(&checked.definition);
    let world = World {
        nodes: json!({ "Push": { "data": { "body": body } }, "Call": { "data": { "status": 202 } } }),
        root: json!({ "data": { "body": body } }),
    };
    let resolved = |id: &str| {
        let node = compiled.node(id).unwrap().unwrap();
        resolve(node, &world, &mut Budget::default())
            .unwrap_or_else(|error| panic!("{id}: {}", error.rendered))
    };
    let call = resolved("call");
    assert_eq!(
        call.display["url"],
        "https://api.example.com/builds/0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c"
    );
    assert_eq!(call.display["headers"][0]["value"], "Bearer {{ secrets(\"github\").token }}");
    assert_eq!(
        call.display["body"]["json"],
        json!({ "repository": "octo-org/hello-world", "branch": "main", "commits": 1,
            "message": "Build of 0d1a26e: Greet the whole world",
            "pusher": { "name": "octocat", "email": "mona@example.com" } })
    );
    assert_eq!(call.keys, [("commit".to_owned(), "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c".to_owned())]);
    assert_eq!(call.refs, [("github".to_owned(), "token".to_owned())]);
    assert_eq!(resolved("ok").display, json!({ "expression": false }));
    assert_eq!(resolved("done").display["body"]["json"]["text"], "Build of 0d1a26e has started.");
    let (node, edges) = (compiled.stored_node("push").unwrap(), compiled.edges());
    let push =
        plan_root(node, compiled.node("push").unwrap(), edges, &world.root["data"], Timestamp::UNIX_EPOCH);
    assert_eq!(push.root.run_name.as_deref(), Some("Greet the whole world"));
}
