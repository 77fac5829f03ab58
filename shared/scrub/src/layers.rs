//! Decodes a text, so that plain values can be searched for in it.

use std::ops::Range;

use crate::entities;
use crate::escape::{Decoded, Escape, number};
use crate::needles::{Label, Needles};

/// The fewest base64 characters that encode eight bytes at any alignment.
const BASE64_RUN_MIN: usize = 11;
/// Digits of hex that encode eight bytes.
const HEX_RUN_MIN: usize = 16;

/// Searches the bytes as they are and under up to `layers` encodings, and reports ranges of
/// `bytes`. Returns the number of searched bytes, the measure of its work.
pub(crate) fn search(
    needles: &Needles,
    bytes: &[u8],
    layers: usize,
    report: &mut dyn FnMut(Range<usize>, Label),
) -> usize {
    if bytes.len() < crate::BYTES_MIN || needles.is_empty() {
        return 0;
    }
    needles.find(bytes, report);
    let mut searched = bytes.len();
    if layers == 0 {
        return searched;
    }
    for escape in [unescape_json, unescape_url, unescape_form, entities::unescape_html] {
        if let Some(view) = View::of(bytes, escape) {
            searched += search(needles, &view.bytes, layers - 1, &mut |range, label| {
                report(view.source(range), label)
            });
        }
    }
    for_runs(bytes, BASE64_RUN_MIN, &BASE64_DIGITS, &mut |run| {
        for phase in 0..4 {
            let decoded = pack::<6>(&run.digits[phase..]);
            searched += search(needles, &decoded, layers - 1, &mut |range, label| {
                report(run.source::<6>(phase, range), label);
            });
        }
    });
    for_runs(bytes, HEX_RUN_MIN, &HEX_DIGITS, &mut |run| {
        for phase in 0..2 {
            let decoded = pack::<4>(&run.digits[phase..]);
            searched += search(needles, &decoded, layers - 1, &mut |range, label| {
                report(run.source::<4>(phase, range), label);
            });
        }
    });
    searched
}

/// A text with its escapes decoded, and the place of each escape in the text.
struct View {
    bytes: Vec<u8>,
    jumps: Vec<Jump>,
}

/// A row of escapes of one size. Between jumps, text and view advance by the same number of bytes,
/// so an escape that keeps its length is no jump.
struct Jump {
    /// The start of the first escape, in the view and in the text.
    decoded: u32,
    source: u32,
    /// Bytes of each escape, in the view and in the text.
    decoded_bytes: u8,
    source_bytes: u8,
    count: u32,
}

impl Jump {
    /// Bytes of all escapes of the jump, in the view and in the text.
    fn lengths(&self) -> (usize, usize) {
        let count = self.count as usize;
        (usize::from(self.decoded_bytes) * count, usize::from(self.source_bytes) * count)
    }
}

impl View {
    /// The view of a text; None when the text has no escape.
    fn of(text: &[u8], escape: fn(&[u8]) -> Option<Escape>) -> Option<Self> {
        let mut next = next_escape(text, 0, escape);
        next.as_ref()?;
        let mut view = Self { bytes: Vec::with_capacity(text.len()), jumps: Vec::new() };
        let mut done = 0;
        while let Some((at, found)) = next {
            view.bytes.extend_from_slice(&text[done..at]);
            let from = view.bytes.len();
            match found.decoded {
                Decoded::Byte(byte) => view.bytes.push(byte),
                Decoded::Char(char) => {
                    view.bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            done = at + found.length;
            view.jump(from, at, found.length);
            next = next_escape(text, done, escape);
        }
        view.bytes.extend_from_slice(&text[done..]);
        Some(view)
    }

    /// Notes an escape of `length` bytes at `source`, which was decoded at `decoded`.
    fn jump(&mut self, decoded: usize, source: usize, length: usize) {
        let made = self.bytes.len() - decoded;
        if made == length {
            return;
        }
        let narrow = |bytes: usize| u8::try_from(bytes).expect("no escape is as long as 256 bytes");
        let (decoded_bytes, source_bytes) = (narrow(made), narrow(length));
        if let Some(last) = self.jumps.last_mut() {
            let (in_view, in_text) = last.lengths();
            let follows =
                last.decoded as usize + in_view == decoded && last.source as usize + in_text == source;
            if follows && (last.decoded_bytes, last.source_bytes) == (decoded_bytes, source_bytes) {
                last.count += 1;
                return;
            }
        }
        let at = |at: usize| u32::try_from(at).expect("texts are at most some megabytes");
        self.jumps.push(Jump {
            decoded: at(decoded),
            source: at(source),
            decoded_bytes,
            source_bytes,
            count: 1,
        });
    }

    /// The part of the text that a range of the view came from, with whole escapes.
    fn source(&self, range: Range<usize>) -> Range<usize> {
        self.source_of(range.start).start..self.source_of(range.end - 1).end
    }

    fn source_of(&self, at: usize) -> Range<usize> {
        let before = self.jumps.partition_point(|jump| jump.decoded as usize <= at);
        let Some(jump) = before.checked_sub(1).map(|last| &self.jumps[last]) else { return at..at + 1 };
        let (offset, (in_view, in_text)) = (at - jump.decoded as usize, jump.lengths());
        if offset < in_view {
            let length = usize::from(jump.source_bytes);
            let start = jump.source as usize + offset / usize::from(jump.decoded_bytes) * length;
            return start..start + length;
        }
        let at = jump.source as usize + in_text + (offset - in_view);
        at..at + 1
    }
}

/// The first escape from `from` on, and its start.
fn next_escape(text: &[u8], from: usize, escape: fn(&[u8]) -> Option<Escape>) -> Option<(usize, Escape)> {
    // Every escape starts with one of these.
    let starts = |byte: &u8| matches!(byte, b'\\' | b'%' | b'+' | b'&');
    let mut at = from;
    loop {
        at += text[at..].iter().position(starts)?;
        if let Some(found) = escape(&text[at..]) {
            return Some((at, found));
        }
        at += 1;
    }
}

fn unescape_json(text: &[u8]) -> Option<Escape> {
    let [b'\\', kind, ..] = text else { return None };
    let char = match kind {
        b'"' | b'\'' | b'\\' | b'/' => char::from(*kind),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unescape_utf16(text),
        b'x' => {
            let code = number(text.get(2..4)?, 16)?;
            return Some(Escape { decoded: Decoded::Char(char::from_u32(code)?), length: 4 });
        }
        _ => return None,
    };
    Some(Escape { decoded: Decoded::Char(char), length: 2 })
}

fn unescape_utf16(text: &[u8]) -> Option<Escape> {
    let unit = |at: usize| {
        let [b'\\', b'u', digits @ ..] = text.get(at..at + 6)? else { return None };
        u16::try_from(number(digits, 16)?).ok()
    };
    let (first, second) = (unit(0)?, unit(6));
    let char = |units: &[u16]| char::decode_utf16(units.iter().copied()).next()?.ok();
    let pair = second.filter(|_| (0xd800..0xdc00).contains(&first)).and_then(|second| char(&[first, second]));
    match pair {
        Some(char) => Some(Escape { decoded: Decoded::Char(char), length: 12 }),
        None => Some(Escape { decoded: Decoded::Char(char(&[first])?), length: 6 }),
    }
}

fn unescape_url(text: &[u8]) -> Option<Escape> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |byte: u8| Some(HEX_DIGITS[usize::from(byte)]).filter(|digit| *digit != NO_DIGIT);
    let byte = digit(*high)? << 4 | digit(*low)?;
    Some(Escape { decoded: Decoded::Byte(byte), length: 3 })
}

fn unescape_form(text: &[u8]) -> Option<Escape> {
    match text {
        [b'+', ..] => Some(Escape { decoded: Decoded::Byte(b' '), length: 1 }),
        _ => unescape_url(text),
    }
}

/// The value of each byte as a digit; [`NO_DIGIT`] for a byte that is no digit.
type Digits = [u8; 256];

const NO_DIGIT: u8 = u8::MAX;

/// The digits of base64 and base64url together.
static BASE64_DIGITS: Digits = {
    let digits = [NO_DIGIT; 256];
    let digits = with_digits(digits, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 0);
    with_digits(digits, b"-_", 62)
};

/// The digits of hex in either case.
static HEX_DIGITS: Digits = {
    let digits = with_digits([NO_DIGIT; 256], b"0123456789abcdef", 0);
    with_digits(digits, b"ABCDEF", 10)
};

const fn with_digits(mut digits: Digits, bytes: &[u8], first: u8) -> Digits {
    let mut at = 0;
    while at < bytes.len() {
        digits[bytes[at] as usize] = first + at as u8;
        at += 1;
    }
    digits
}

/// A row of digits of one encoding, with no other bytes than line breaks between them.
struct Run {
    digits: Vec<u8>,
    /// The first digit of each line: its index, and its place in the text.
    lines: Vec<(usize, usize)>,
}

impl Run {
    /// The part of the text that the bytes of `range` came from, when digits of `BITS` bits were
    /// packed from `phase` on. A digit that is only partly in the range is included.
    fn source<const BITS: usize>(&self, phase: usize, range: Range<usize>) -> Range<usize> {
        let first = phase + range.start * 8 / BITS;
        let last = phase + (range.end * 8 - 1) / BITS;
        self.position(first)..self.position(last) + 1
    }

    /// The place of a digit in the text.
    fn position(&self, digit: usize) -> usize {
        let line = self.lines.partition_point(|(first, _)| *first <= digit).saturating_sub(1);
        let (first, at) = self.lines[line];
        at + (digit - first)
    }
}

/// Calls `each` with the runs of at least `length_min` digits.
fn for_runs(text: &[u8], length_min: usize, digits: &Digits, each: &mut dyn FnMut(&Run)) {
    let digit = |at: usize| digits[usize::from(text[at])];
    let mut at = 0;
    while at < text.len() {
        if digit(at) == NO_DIGIT {
            at += 1;
            continue;
        }
        // Most runs are words: measure first, and collect only long enough runs.
        let end = run_end(text, at, digits);
        if end - at >= length_min {
            let mut run = Run { digits: Vec::with_capacity(end - at), lines: Vec::new() };
            let mut goes_on = false;
            for position in at..end {
                let is_digit = digit(position) != NO_DIGIT;
                if is_digit && !goes_on {
                    run.lines.push((run.digits.len(), position));
                }
                if is_digit {
                    run.digits.push(digit(position));
                }
                goes_on = is_digit;
            }
            if run.digits.len() >= length_min {
                each(&run);
            }
        }
        at = end;
    }
}

fn run_end(text: &[u8], start: usize, digits: &Digits) -> usize {
    let is_digit = |at: usize| text.get(at).is_some_and(|byte| digits[usize::from(*byte)] != NO_DIGIT);
    let mut at = start;
    loop {
        while is_digit(at) {
            at += 1;
        }
        // Encoders break long lines: the run continues on the next line.
        let broken = match text.get(at..) {
            Some([b'\r', b'\n', ..]) => 2,
            Some([b'\n', ..]) => 1,
            _ => return at,
        };
        if !is_digit(at + broken) {
            return at;
        }
        at += broken;
    }
}

/// Packs digits of `BITS` bits into bytes; bits that fill no byte are dropped.
fn pack<const BITS: usize>(digits: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(digits.len() * BITS / 8 + 1);
    let (mut window, mut held) = (0_u32, 0);
    for digit in digits {
        window = window << BITS | u32::from(*digit);
        held += BITS;
        if held >= 8 {
            held -= 8;
            bytes.push((window >> held & 0xff) as u8);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(text: &str, escape: fn(&[u8]) -> Option<Escape>) -> Option<(String, Vec<Range<usize>>)> {
        let view = View::of(text.as_bytes(), escape)?;
        let sources = (0..view.bytes.len()).map(|at| view.source_of(at)).collect();
        Some((String::from_utf8(view.bytes).unwrap(), sources))
    }

    #[test]
    fn escapes_are_undone_and_each_byte_knows_where_it_came_from() {
        let (text, sources) = view(r#"a\"\u00e9b"#, unescape_json).unwrap();
        assert_eq!(text, "a\"\u{e9}b");
        assert_eq!(sources, [0..1, 1..3, 3..9, 3..9, 9..10]);
        assert_eq!(view("no escape", unescape_json), None);
    }

    #[test]
    fn escapes_of_one_size_are_one_jump_and_those_that_keep_their_length_none() {
        let jumps = |text: &str, escape: fn(&[u8]) -> Option<Escape>| {
            View::of(text.as_bytes(), escape).unwrap().jumps.len()
        };
        assert_eq!(jumps(&"+".repeat(1000), unescape_form), 0);
        assert_eq!(jumps(&"%41".repeat(1000), unescape_url), 1);
        assert_eq!(jumps(&"%41a".repeat(1000), unescape_url), 1000);
        let (text, sources) = view("+%41%42c%43+d", unescape_form).unwrap();
        assert_eq!(text, " ABcC d");
        assert_eq!(sources, [0..1, 1..4, 4..7, 7..8, 8..11, 11..12, 12..13]);
    }

    #[test]
    fn each_escape_is_read_as_its_encoder_meant_it() {
        let check = |escape: fn(&[u8]) -> Option<Escape>, text: &str, expected: &str| {
            assert_eq!(view(text, escape).unwrap().0, expected, "{text}");
        };
        check(unescape_json, r"\b\f\n\r\t\/\\\'\x41", "\u{8}\u{c}\n\r\t/\\'A");
        check(unescape_json, r"\ud83d\ude00\u003C", "\u{1f600}<");
        check(unescape_json, r"\ud83d\\ude00", "\\ud83d\\ude00");
        check(unescape_json, r"\u+123\\", "\\u+123\\");
        check(unescape_url, "%41%2b%2B%zz%4", "A++%zz%4");
        check(unescape_url, "a+b%20", "a+b ");
        check(unescape_form, "a+b%2B", "a b+");
    }

    #[test]
    fn runs_go_on_over_line_breaks_and_end_elsewhere() {
        let runs = |text: &str| {
            let mut found = Vec::new();
            for_runs(text.as_bytes(), 4, &HEX_DIGITS, &mut |run| {
                found.push((0..run.digits.len()).map(|digit| run.position(digit)).collect::<Vec<_>>());
            });
            found
        };
        assert_eq!(runs("abc"), [[0; 0]; 0]);
        assert_eq!(runs("xabcdx12 34"), [[1, 2, 3, 4]]);
        assert_eq!(runs("ab\ncd\r\nef\n"), [[0, 1, 3, 4, 7, 8]]);
        assert_eq!(runs("ab\n\ncd"), [[0; 0]; 0]);
    }

    #[test]
    fn the_shortest_run_of_digits_is_that_of_the_shortest_value_i10() {
        let scrubber = crate::Scrubber::new(&[("a.b", "12345678")], &[]);
        let check = |text: &str, run_min: usize| {
            assert_eq!(text.len(), run_min, "{text}");
            assert_eq!(scrubber.scrub_text(text).1, 1, "{text}");
            assert_eq!(
                scrubber.scrub_text(&text[..run_min - 1]).1,
                0,
                "a digit less holds no value of {text}"
            );
        };
        check("MTIzNDU2Nzg", BASE64_RUN_MIN);
        check("3132333435363738", HEX_RUN_MIN);
        for run_min in [BASE64_RUN_MIN, HEX_RUN_MIN] {
            let runs = |digits: usize| {
                let mut found = 0;
                for_runs("a".repeat(digits).as_bytes(), run_min, &HEX_DIGITS, &mut |_| found += 1);
                found
            };
            assert_eq!((runs(run_min), runs(run_min - 1)), (1, 0));
        }
    }
}
