//! Messages that are stored with an execution.

use domain::execution::ResultReason;

/// Characters of such a message.
const MESSAGE_CHARS_MAX: usize = 4_000;

/// The message of a reason that needs no more words.
pub(super) fn standing_message(reason: ResultReason) -> Option<String> {
    let message = match reason {
        ResultReason::RunLimit => "the run is past its limit of 1000 events in a row or 10000 executions",
        ResultReason::NodeRemoved => "the node was removed from the workflow",
        ResultReason::Cancelled => "the run was cancelled",
        ResultReason::TemplateError
        | ResultReason::Redacted
        | ResultReason::SecretMissing
        | ResultReason::SecretDenied
        | ResultReason::ComponentError
        | ResultReason::Timeout
        | ResultReason::Limit
        | ResultReason::Crashed
        | ResultReason::Undeliverable => return None,
    };
    Some(message.to_owned())
}

/// A message as it is stored: no longer than it may be.
pub(super) fn cut_message(message: String) -> String {
    let message = domain::json::storable_text(message);
    match message.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_a_limit_on_both_sides_i10() {
        let cut = |chars: usize| cut_message("ä".repeat(chars)).chars().count();
        assert_eq!(cut(MESSAGE_CHARS_MAX), MESSAGE_CHARS_MAX);
        assert_eq!(cut(MESSAGE_CHARS_MAX + 1), MESSAGE_CHARS_MAX + 1, "cut, and a sign of it");
        assert!(cut_message("ä".repeat(MESSAGE_CHARS_MAX + 1)).ends_with("ä…"));
    }
}
