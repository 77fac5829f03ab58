//! Rates of nodes, and what a deployment does not allow.

use super::*;
use crate::Library;

#[test]
fn what_a_deployment_does_not_allow_is_refused_where_it_is_written() {
    let text = workflow(
        "  - { id: a, name: A, component: http, configuration: { url: 'https://a.example', timeout_seconds: 180 } }\n",
    );
    let within =
        |component_seconds_max, webhook_rate_max| Deployment { component_seconds_max, webhook_rate_max };
    let said = |most: u32| match check_within(&text, within(most, 50), &Library::default()) {
        Ok(_) => String::new(),
        Err(refused) => {
            refused.problems.iter().map(|found| format!("{}: {}", found.field, found.message)).collect()
        }
    };
    assert_eq!((said(300), said(180)), (String::new(), String::new()));
    let expected = "nodes[1].configuration.timeout_seconds: a component may take 179 seconds in this deployment (its parameter ComponentSecondsMax)";
    assert_eq!(said(179), expected);
    let webhook = workflow(
        "  - { id: a, name: A, trigger: webhook, configuration: { authentication: none, rate: { per_second: 20 } } }\n",
    );
    let said = |most: u32| match check_within(&webhook, within(300, most), &Library::default()) {
        Ok(_) => String::new(),
        Err(refused) => {
            refused.problems.iter().map(|found| format!("{}: {}; ", found.field, found.message)).collect()
        }
    };
    assert!(!said(20).contains("deployment"), "{}", said(20));
    let expected = "nodes[1].configuration.rate.per_second: a webhook may have 19 deliveries a second in this deployment";
    assert!(said(19).contains(expected), "{}", said(19));
}

#[test]
fn a_rate_is_a_number_of_calls_and_a_burst() {
    let found = |rate: &str| {
        let text = workflow(&format!(
            "  - {{ id: a, name: A, component: http, configuration: {{ url: 'https://a.example' }}, rate: {rate} }}\n"
        ));
        match check(&text) {
            Ok(checked) => format!("{:?}", checked.definition.nodes[1].rate.unwrap()),
            Err(problems) => {
                problems.iter().map(|found| format!("{}: {}; ", found.field, found.message)).collect()
            }
        }
    };
    assert_eq!(found("{ per_second: 5 }"), "CallRate { per_second: 5.0, burst: 1 }");
    assert_eq!(found("{ per_second: 0.5, burst: 10 }"), "CallRate { per_second: 0.5, burst: 10 }");
    assert_eq!(found("{ per_second: 1000, burst: 1000 }"), "CallRate { per_second: 1000.0, burst: 1000 }");
    let per_second = "nodes[1].rate.per_second: must be a number from 0.01 to 1000; ";
    let most = f64::from(CALL_RATE_MAX);
    for rate in [most, CALL_RATE_MIN] {
        assert!(found(&format!("{{ per_second: {rate} }}")).starts_with("CallRate"), "{rate}");
    }
    let (above, below) = ((most + 0.1).to_string(), (CALL_RATE_MIN - 0.001).to_string());
    for rate in [above.as_str(), below.as_str(), "0", "-1", "'5'", "many"] {
        assert_eq!(found(&format!("{{ per_second: {rate} }}")), per_second, "{rate}");
    }
    assert_eq!(found("{ per_second: 1e309 }"), per_second);
    let burst = "nodes[1].rate.burst: must be a whole number from 1 to 1000; ";
    let above = (CALL_RATE_MAX + 1).to_string();
    for value in ["0", above.as_str(), "1.5", "-1"] {
        assert_eq!(found(&format!("{{ per_second: 1, burst: {value} }}")), burst, "{value}");
    }
    assert_eq!(found("{ burst: 2 }"), "nodes[1].rate: `per_second` is missing; ");
    let pure = workflow("  - { id: a, name: A, component: noop, rate: { per_second: 1 } }\n");
    assert!(errors(&pure)[0].contains("it calls nobody"), "{:?}", errors(&pure));
}
