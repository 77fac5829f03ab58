//! Bodies of HTTP messages, read as their heads say: content codings, content types, charsets. The
//! same for a target's answer and for a sender's delivery.

mod coding;
mod content_type;
mod text;

pub use coding::{CodingError, decode};
pub use content_type::{Kind, kind};
pub use text::{text, without_byte_order_mark};
