//! YAML, from the events of saphyr-parser.

use std::borrow::Cow;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::{
    Content, Position, Tree,
    build::{Builder, TooMuch},
    scalar,
};
use crate::problem::Problem;

/// Reads YAML.
pub(super) fn read(text: &str) -> (Option<Tree>, Vec<Problem>) {
    let mut builder = Builder::default();
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        match event {
            Ok((Event::DocumentStart(_), span)) => {
                documents += 1;
                if documents > 1 {
                    builder.problem(position(&span), "the file holds more than one document");
                    break;
                }
            }
            Ok((event, span)) => {
                if take(&mut builder, event, position(&span)).is_err() {
                    return (None, builder.finish().1);
                }
            }
            Err(error) => {
                let (_, mut problems) = builder.finish();
                problems.push(syntax_problem(&error));
                return (None, problems);
            }
        }
    }
    let (root, mut problems) = builder.finish();
    if root.is_none() {
        problems.push(Position::default().problem("", "the definition is empty"));
    }
    (root, problems)
}

fn take(builder: &mut Builder, event: Event<'_>, position: Position) -> Result<(), TooMuch> {
    match event {
        Event::Alias(_) => {
            refuse(builder, position, "aliases (`*`) are not allowed: write the value out");
        }
        Event::Scalar(text, style, anchor, tag) => {
            refuse_decoration(builder, position, anchor, tag.as_ref());
            take_scalar(builder, text, style, position);
        }
        Event::SequenceStart(anchor, tag) => {
            refuse_decoration(builder, position, anchor, tag.as_ref());
            builder.start_list(position)?;
        }
        Event::MappingStart(anchor, tag) => {
            refuse_decoration(builder, position, anchor, tag.as_ref());
            builder.start_map(position)?;
        }
        Event::SequenceEnd | Event::MappingEnd => builder.end(),
        Event::Nothing
        | Event::StreamStart
        | Event::StreamEnd
        | Event::DocumentStart(_)
        | Event::DocumentEnd => {}
    }
    Ok(())
}

fn take_scalar(builder: &mut Builder, text: Cow<'_, str>, style: ScalarStyle, position: Position) {
    let content = match style {
        // A scalar that looks like a number, and is none that JSON can hold, is text: an address such as
        // 0xdAC1…, the beginning of a commit's hash such as 12e4567.
        ScalarStyle::Plain => match scalar::resolve(&text) {
            Err(_) if scalar::is_number(&text) => Ok(Content::Text(text.clone().into_owned())),
            content => content,
        },
        _ => Ok(Content::Text(text.clone().into_owned())),
    };
    if builder.expects_key() {
        if !matches!(content, Ok(Content::Text(_))) {
            builder.problem(position, "a key must be text: quote it");
        }
        return builder.key(text.into_owned(), position);
    }
    match content {
        Ok(content) => builder.add(Tree::scalar(content, &text, position)),
        Err(message) => refuse(builder, position, message),
    }
}

fn refuse_decoration(builder: &mut Builder, position: Position, anchor: usize, tag: Option<&Cow<'_, Tag>>) {
    if anchor > 0 {
        builder.problem(position, "anchors (`&`) are not allowed");
    }
    if tag.is_some() {
        builder.problem(position, "tags (`!`) are not allowed");
    }
}

fn refuse(builder: &mut Builder, position: Position, message: &str) {
    builder.problem(position, message);
    if builder.expects_key() {
        builder.key(String::new(), position);
    } else {
        builder.add(Tree::new(Content::Refused, position));
    }
}

fn position(span: &Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

fn syntax_problem(error: &ScanError) -> Problem {
    let marker = error.marker();
    let position = Position { line: marker.line(), column: marker.col() + 1 };
    // Authors most often mean a text with a colon in it, such as `a ? b : c`.
    let hint = match error.info() {
        info if info.contains("mapping values are not allowed") => "; a text with `: ` in it must be quoted",
        _ => "",
    };
    position.problem("", format!("not valid YAML: {}{hint}", error.info()))
}
