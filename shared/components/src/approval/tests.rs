use domain::access::Role;
use domain::ids::ExecutionId;
use domain::limits::{
    APPROVAL_BYTES_MAX, APPROVERS_MAX, FORM_FIELDS_MAX, FORM_OPTIONS_MAX, VOTE_BYTES_MAX, WAIT_SECONDS_MAX,
};
use serde_json::json;

use super::*;
use crate::held::HeldCall;

const SINCE: &str = "2026-11-25T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn open(configuration: &Value) -> Step {
    assert_eq!(Approval.check(configuration), [], "{configuration}");
    let opening =
        Opening { execution_id: ExecutionId::from_u128(7), now: at(SINCE), address: "", public_url: "" };
    Approval.open(configuration, opening).unwrap_or_else(|failure| panic!("{configuration}: {failure:?}"))
}

fn held(step: &Step) -> Value {
    match &step.then {
        Then::Held { held, .. } => held.clone(),
        other => panic!("{other:?}"),
    }
}

/// A vote of a person with a role, some minutes after the beginning.
fn vote(call: Call, name: &str, role: Role, minutes: i64) -> HeldCall {
    let voter = Voter { id: name, name, role, is_starter: false };
    HeldCall {
        call,
        called_by: format!("member:{name}"),
        called_at: at(SINCE).checked_add(jiff::SignedDuration::from_mins(minutes)).unwrap(),
        data: Vote::call_data(voter, None, &Map::new()),
    }
}

/// The votes of people: `+ann` approves, `-bob` rejects; who is in capitals is an admin, others are
/// operators.
fn votes(text: &str) -> Vec<HeldCall> {
    let one = |(minute, word): (i64, &str)| {
        let (call, name) = (if word.starts_with('+') { Call::Approve } else { Call::Reject }, &word[1..]);
        let role = if name.chars().all(char::is_uppercase) { Role::Admin } else { Role::Operator };
        vote(call, name, role, minute)
    };
    (1..).zip(text.split_whitespace()).map(one).collect()
}

/// The channel on which the votes end it, each read by a wake of its own; `open`: they don't.
fn result(configuration: &Value, cast: &str) -> String {
    let mut kept = held(&open(configuration));
    for call in votes(cast) {
        let step = Approval
            .wake(&kept, &Woken { now: call.called_at, is_time: false, calls: std::slice::from_ref(&call) });
        match step.then {
            Then::Held { held, .. } => kept = held,
            Then::Ended(Ok(())) => return step.emissions[0].channel.to_owned(),
            Then::Ended(Err(failure)) => panic!("{failure:?}"),
        }
    }
    "open".to_owned()
}

#[test]
fn enough_approvals_approve_and_a_rejection_rejects() {
    let check = |require: Value, reject: &str, cast: &str, expected: &str| {
        let configuration = json!({ "approvers": [{ "role": "admin" }, { "role": "operator" }, { "user": "ann" }], "require": require, "reject": reject });
        assert_eq!(result(&configuration, cast), expected, "{require} {reject}: {cast}");
        // Read together they come to the same.
        let calls = votes(cast);
        let now = at("2026-11-25T20:00:00Z");
        let step = Approval.wake(&held(&open(&configuration)), &Woken { now, is_time: false, calls: &calls });
        let channel = step.emissions.first().map_or("open", |emission| emission.channel);
        assert_eq!(channel, expected, "{require} {reject}: {cast} together");
    };
    check(json!("any"), "first", "+bob", "approved");
    check(json!("any"), "first", "-bob", "rejected");
    check(json!(2), "first", "+bob", "open");
    check(json!(2), "first", "+bob +cid", "approved");
    check(json!(2), "first", "+bob -cid", "rejected");
    check(json!(2), "first", "+bob +cid -dan", "approved");
    check(json!(3), "majority", "-bob", "open");
    check(json!(3), "majority", "-bob +cid +dan -eve", "rejected");
    check(json!(3), "majority", "-bob +cid +dan +eve", "approved");
    check(json!("any"), "majority", "-bob", "rejected");
    // One for each line, each by another person.
    check(json!("all"), "first", "+ADA +ann", "open");
    check(json!("all"), "first", "+ADA +ann +bob", "approved");
    check(json!("all"), "first", "+bob +ann +ADA", "approved");
    check(json!("all"), "first", "+bob +cid +ann", "open");
    check(json!("all"), "first", "+ADA +BEA +CID", "open");
    check(json!("all"), "first", "+ann +BEA +ADA", "approved");
}

#[test]
fn it_asks_goes_on_with_the_decisions_and_keeps_no_word_in_the_facts() {
    let configuration = json!({
        "approvers": [{ "anyone": true }], "require": 2, "message": "Deploy build 7?", "expires": "4h",
        "form": [{ "name": "window", "type": "choice", "options": ["now", "tonight"], "required": true }],
    });
    let opened = open(&configuration);
    assert_eq!(
        (opened.emissions[0].channel, &opened.emissions[0].data),
        (
            "requested",
            &EmissionData::Made(json!({
                "id": "00000000-0000-0000-0000-000000000007", "message": "Deploy build 7?", "expires_at": "2026-11-25T16:00:00Z",
            }))
        )
    );
    assert_eq!(
        opened.facts,
        json!({ "approval": {
        "since": SINCE, "expires_at": "2026-11-25T16:00:00Z", "approvals": 0, "rejections": 0, "needed": 2,
    } })
    );
    let Then::Held { wake, .. } = &opened.then else { panic!("{opened:?}") };
    assert_eq!(*wake, Some(WakeTime::At(at("2026-11-25T16:00:00Z"))));
    let mut calls = votes("+ann +bob");
    calls[0].data["comment"] = json!("looks good");
    calls[0].data["form"] = json!({ "window": "now" });
    calls[1].data["form"] = json!({ "window": "tonight" });
    let over = Approval
        .wake(&held(&opened), &Woken { now: at("2026-11-25T12:03:00Z"), is_time: false, calls: &calls });
    assert_eq!(over.then, Then::Ended(Ok(())));
    assert_eq!(
        over.emissions,
        [Emission {
            channel: "approved",
            data: EmissionData::Made(json!({
                "result": "approved",
                "decisions": [
                    { "decision": "approve", "by": "ann", "at": "2026-11-25T12:01:00Z", "comment": "looks good" },
                    { "decision": "approve", "by": "bob", "at": "2026-11-25T12:02:00Z", "comment": null },
                ],
                "form": { "window": "tonight" },
            }))
        }]
    );
    let facts = over.facts.to_string();
    assert!(
        !facts.contains("looks good") && !facts.contains("Deploy") && !facts.contains("tonight"),
        "{facts}"
    );
    assert_eq!(
        (&over.facts["approval"]["result"], &over.facts["approval"]["approvals"]),
        (&json!("approved"), &json!(2))
    );
}

/// ✗✗ A vote got 200 after the expiry had ended the approval.
#[test]
fn a_vote_counts_if_it_was_made_before_the_end_whenever_it_is_read() {
    let configuration = json!({ "approvers": [{ "anyone": true }], "expires": "10m" });
    let kept = held(&open(&configuration));
    let read = |minutes: i64, is_time: bool, cast: &str| {
        let now = at(SINCE).checked_add(jiff::SignedDuration::from_mins(minutes)).unwrap();
        let mut calls = votes(cast);
        for call in &mut calls {
            call.called_at = call.called_at.checked_add(jiff::SignedDuration::from_mins(8)).unwrap();
        }
        let step = Approval.wake(&kept, &Woken { now, is_time, calls: &calls });
        step.emissions.first().map_or("open", |emission| emission.channel)
    };
    assert_eq!(read(30, true, "+ann"), "approved", "made in the ninth minute, read in the thirtieth");
    assert_eq!(read(10, true, ""), "expired");
    // The second vote was made in the tenth minute: too late.
    let two = json!({ "approvers": [{ "anyone": true }], "expires": "10m", "require": 2 });
    let kept = held(&open(&two));
    let late =
        [vote(Call::Approve, "ann", Role::Operator, 9), vote(Call::Approve, "bob", Role::Operator, 10)];
    let step = Approval.wake(&kept, &Woken { now: at("2026-11-25T12:11:00Z"), is_time: true, calls: &late });
    assert_eq!(step.emissions[0].channel, "expired");
}

/// The wake may read a moment before the end, and go on a moment behind it.
#[test]
fn a_wake_that_reaches_the_end_while_it_works_ends_it() {
    let configuration = json!({ "approvers": [{ "anyone": true }], "require": 2, "expires": "10m" });
    let kept = held(&open(&configuration));
    let calls = [vote(Call::Approve, "ann", Role::Operator, 9)];
    for (now, expected) in [("2026-11-25T12:09:59Z", "open"), ("2026-11-25T12:10:00Z", "expired")] {
        let step = Approval.wake(&kept, &Woken { now: at(now), is_time: false, calls: &calls });
        assert_eq!(step.emissions.first().map_or("open", |emission| emission.channel), expected, "{now}");
    }
}

#[test]
fn votes_that_change_nothing_are_not_kept_i10() {
    let configuration = json!({ "approvers": [{ "user": "boss" }, { "anyone": true }], "require": "all" });
    let mut request = Request::from_held(&held(&open(&configuration))).unwrap();
    for person in 0..500 {
        request.take(Vote::of(&vote(Call::Approve, &format!("p{person}"), Role::Operator, 1)));
    }
    assert_eq!((request.votes.len(), request.outcome()), (1, None));
    // Her second vote, after she was invited anew, is none.
    request.take(Vote::of(&vote(Call::Reject, "p0", Role::Operator, 2)));
    assert_eq!((request.votes.len(), request.outcome()), (1, None));
    request.take(Vote::of(&vote(Call::Approve, "boss", Role::Operator, 3)));
    assert_eq!(request.outcome(), Some(Outcome::Approved));
}

#[test]
fn those_who_are_named_may_vote_and_not_who_started_the_run() {
    let request = |approvers: Value, more: &str| {
        let mut configuration = json!({ "approvers": approvers });
        if !more.is_empty() {
            configuration["self"] = json!(more);
        }
        Request::from_held(&held(&open(&configuration))).unwrap()
    };
    let may = |request: &Request, name: &str, role: Role, is_starter: bool| {
        request.may_vote(Voter { id: "1", name, role, is_starter }).is_ok()
    };
    let named = request(json!([{ "user": "ann@example.com" }]), "");
    assert!(may(&named, "ann@example.com", Role::Viewer, false));
    assert!(!may(&named, "bob@example.com", Role::Owner, false), "a role is no name");
    let role = request(json!([{ "role": "editor" }, { "user": "ann" }]), "");
    assert!(may(&role, "x", Role::Editor, false) && may(&role, "x", Role::Owner, false));
    assert!(!may(&role, "x", Role::Operator, false) && may(&role, "ann", Role::Viewer, false));
    assert!(may(&request(json!([{ "anyone": true }]), ""), "x", Role::Viewer, false));
    assert!(!may(&request(json!([{ "anyone": true }]), ""), "x", Role::Owner, true));
    assert!(!may(&request(json!([{ "anyone": true }]), "deny"), "x", Role::Owner, true));
    assert!(may(&request(json!([{ "anyone": true }]), "allow"), "x", Role::Viewer, true));
}

#[test]
fn a_form_is_checked_by_its_fields_i10() {
    let configuration = json!({ "approvers": [{ "anyone": true }], "form": [
        { "name": "ticket", "required": true }, { "name": "count", "type": "number" }, { "name": "sure", "type": "boolean" },
        { "name": "window", "type": "choice", "options": ["now", "later"] },
    ] });
    let request = Request::from_held(&held(&open(&configuration))).unwrap();
    let said = |form: Value, is_approval: bool| {
        let form = form.as_object().unwrap().clone();
        request.check_vote(None, &form, is_approval).err().unwrap_or_default().join("; ")
    };
    assert_eq!(said(json!({ "ticket": "A-1", "count": 2, "sure": true, "window": "now" }), true), "");
    assert_eq!(said(json!({}), true), "the field `ticket` is missing");
    assert_eq!(said(json!({}), false), "", "a rejection needs none");
    assert_eq!(
        said(json!({ "ticket": 1, "count": "two", "sure": "yes", "window": "never", "x": 1 }), true),
        "the form has no field `x`; the field `ticket` must be a text; the field `count` must be a number; \
         the field `sure` must be true or false; the field `window` must be one of now, later"
    );
    let texts = json!({ "ticket": "1.10", "count": "1.50", "sure": "true" }).as_object().unwrap().clone();
    let taken = request.check_vote(None, &texts, true).unwrap();
    assert_eq!(Value::Object(taken), json!({ "ticket": "1.10", "count": 1.5, "sure": true }), "text is text");
    // `[null,{"ticket":""}]` has 20 bytes.
    let ticket = |bytes: usize| said(json!({ "ticket": "x".repeat(bytes - 20) }), true);
    assert_eq!(ticket(VOTE_BYTES_MAX), "");
    assert_eq!(ticket(VOTE_BYTES_MAX + 1), "comment and form have more than 1000 bytes together");
}

#[test]
fn what_is_no_approval_is_told_with_its_place() {
    let check = |configuration: Value, pointer: &str, message: &str| {
        let problems = Approval.check(&configuration);
        let [problem] = problems.as_slice() else { panic!("{configuration}: {problems:?}") };
        assert_eq!(problem.pointer, pointer, "{configuration}");
        assert!(problem.message.starts_with(message), "{configuration}: {}", problem.message);
    };
    check(json!({}), "", "needs `approvers`");
    check(json!({ "approvers": [] }), "/approvers", "must be a list of 1 to 20");
    check(json!({ "approvers": [{ "user": "a", "role": "admin" }] }), "/approvers/0", "must be one of");
    check(json!({ "approvers": [{ "anyone": false }] }), "/approvers/0", "must be one of");
    check(json!({ "approvers": [{ "role": "boss" }] }), "/approvers/0/role", "must be one of viewer");
    check(json!({ "approvers": [{ "user": "" }] }), "/approvers/0/user", "must be the name");
    check(
        json!({ "approvers": [{ "user": "a" }], "require": 2 }),
        "/require",
        "is more than the 1 approvers",
    );
    check(
        json!({ "approvers": [{ "anyone": true }], "require": "both" }),
        "/require",
        "must be `all`, `any`",
    );
    check(
        json!({ "approvers": [{ "anyone": true }], "self": "maybe" }),
        "/self",
        "must be one of deny, allow",
    );
    check(json!({ "approvers": [{ "anyone": true }], "expires": "0s" }), "/expires", "must be seconds");
    check(
        json!({ "approvers": [{ "anyone": true }], "form": [{ "type": "text" }] }),
        "/form/0",
        "`name` is missing",
    );
    check(
        json!({ "approvers": [{ "anyone": true }], "form": [{ "name": "a" }, { "name": "a" }] }),
        "/form/1/name",
        "is the name of another",
    );
    check(
        json!({ "approvers": [{ "anyone": true }], "form": [{ "name": "a", "type": "choice" }] }),
        "/form/0",
        "has `options`",
    );
    check(
        json!({ "approvers": [{ "anyone": true }], "form": [{ "name": "a", "options": ["x"] }] }),
        "/form/0",
        "has `options`",
    );
    assert_eq!(
        Approval.check(&json!({ "approvers": [{ "user": "{{ root().data.lead }}" }], "expires": "{{ 1 }}" })),
        [],
        "it is left open"
    );
}

#[test]
fn each_part_of_an_approval_has_its_limit_i10() {
    let is_valid = |configuration: Value| Approval.check(&configuration).is_empty();
    let approvers = |count: usize| json!({ "approvers": vec![json!({ "anyone": true }); count] });
    assert!(is_valid(approvers(APPROVERS_MAX)) && !is_valid(approvers(APPROVERS_MAX + 1)));
    let needed = |count: usize| json!({ "approvers": [{ "anyone": true }], "require": count });
    assert!(is_valid(needed(APPROVERS_MAX)) && !is_valid(needed(APPROVERS_MAX + 1)) && !is_valid(needed(0)));
    let fields = |count: usize| {
        let fields: Vec<Value> = (0..count).map(|n| json!({ "name": n.to_string() })).collect();
        json!({ "approvers": [{ "anyone": true }], "form": fields })
    };
    assert!(is_valid(fields(FORM_FIELDS_MAX)) && !is_valid(fields(FORM_FIELDS_MAX + 1)));
    let options = |count: usize| json!({ "approvers": [{ "anyone": true }], "form": [{ "name": "a", "type": "choice", "options": vec!["x"; count] }] });
    assert!(
        is_valid(options(FORM_OPTIONS_MAX))
            && !is_valid(options(FORM_OPTIONS_MAX + 1))
            && !is_valid(options(0))
    );
    let expires = |seconds: u64| json!({ "approvers": [{ "anyone": true }], "expires": seconds });
    assert!(is_valid(expires(WAIT_SECONDS_MAX)) && !is_valid(expires(WAIT_SECONDS_MAX + 1)));
    let opened = |bytes: usize| {
        let of = |message: &str| json!({ "approvers": [{ "anyone": true }], "message": message });
        let empty = compact_bytes(&held(&open(&of(""))));
        let opening =
            Opening { execution_id: ExecutionId::from_u128(7), now: at(SINCE), address: "", public_url: "" };
        Approval.open(&of(&"x".repeat(bytes - empty)), opening).map(|step| held(&step))
    };
    assert!(opened(APPROVAL_BYTES_MAX).is_ok());
    assert!(opened(APPROVAL_BYTES_MAX + 1).unwrap_err().message.contains("more than 10240 bytes"));
}
