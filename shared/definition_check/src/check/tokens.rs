//! Shapes of credentials that people paste into configurations.

/// The shapes: a prefix, the fewest characters after it, and the kind of credential.
const SHAPES: &[(&str, usize, &str)] = &[
    ("ghp_", 30, "a GitHub token"),
    ("gho_", 30, "a GitHub token"),
    ("ghu_", 30, "a GitHub token"),
    ("ghs_", 30, "a GitHub token"),
    ("ghr_", 30, "a GitHub token"),
    ("github_pat_", 30, "a GitHub token"),
    ("glpat-", 16, "a GitLab token"),
    ("xoxb-", 20, "a Slack token"),
    ("xoxp-", 20, "a Slack token"),
    ("xoxa-", 20, "a Slack token"),
    ("xapp-", 20, "a Slack token"),
    ("hooks.slack.com/services/T", 20, "a Slack webhook address"),
    ("AKIA", 16, "an AWS access key"),
    ("ASIA", 16, "an AWS access key"),
    ("sk_live_", 16, "a Stripe key"),
    ("rk_live_", 16, "a Stripe key"),
    ("sk-ant-", 20, "an Anthropic key"),
    ("sk-proj-", 20, "an OpenAI key"),
    ("AIza", 35, "a Google key"),
    ("SG.", 40, "a SendGrid key"),
    ("dop_v1_", 40, "a DigitalOcean token"),
    ("npm_", 36, "an npm token"),
    ("pypi-", 40, "a PyPI token"),
    ("Bearer ", 16, "a bearer token"),
    ("Basic ", 12, "a user name with a password"),
    ("eyJ", 60, "a JSON web token"),
];

/// The kind of credential that the text seems to hold.
pub(super) fn known_shape(text: &str) -> Option<&'static str> {
    if text.contains("-----BEGIN") && text.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    SHAPES
        .iter()
        .find(|(prefix, more, _)| text.match_indices(prefix).any(|(at, _)| is_token(text, at, prefix, *more)))
        .map(|(_, _, kind)| *kind)
}

fn is_token(text: &str, at: usize, prefix: &str, more: usize) -> bool {
    let joined = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./+=".contains(byte);
    let starts = at == 0 || !text.as_bytes()[at - 1].is_ascii_alphanumeric();
    starts && text.as_bytes()[at + prefix.len()..].iter().take_while(|byte| joined(byte)).count() >= more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_shapes_are_found_and_their_likes_are_not() {
        let check = |text: String, expected: Option<&str>| assert_eq!(known_shape(&text), expected, "{text}");
        let letters = |count: usize| "aB3".repeat(count / 3 + 1)[..count].to_owned();
        check(format!("token ghp_{}", letters(36)), Some("a GitHub token"));
        check(format!("xoxb-{}", letters(24)), Some("a Slack token"));
        check(format!("AKIA{}", letters(16)), Some("an AWS access key"));
        check(format!("sk_live_{}", letters(24)), Some("a Stripe key"));
        check(format!("Bearer {}", letters(20)), Some("a bearer token"));
        check("-----BEGIN RSA PRIVATE KEY-----\nx".into(), Some("a private key"));
        check("Bearer token".into(), None);
        check("ghp_short".into(), None);
        check(format!("SAKIA{}", letters(16)), None);
        check("Basic plan".into(), None);
        check("https://api.example.com/builds".into(), None);
    }
}
