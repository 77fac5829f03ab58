//! The builtin functions: their names, their numbers of arguments, and the Rust functions behind
//! them.

mod array;
mod date;
mod date_text;
mod escape;
pub(crate) mod go_format;
pub(crate) mod json;
mod map;
pub(crate) mod methods;
mod number;
pub(crate) mod print;
mod string;
mod types;

use crate::{
    eval::{Budget, Fault},
    value::Value,
};

pub(crate) use array::uniq_key;
pub(crate) use escape::{percent_encode, url_path};

/// The result of a builtin.
pub(crate) type Outcome<'a> = Result<Value<'a>, Fault>;

/// Functions of Go's expr that are left out.
pub(crate) const LEFT_OUT: &[&str] =
    &["bitand", "bitor", "bitxor", "bitnand", "bitnot", "bitshl", "bitshr", "bitushr"];

macro_rules! builtins {
    ($($variant:ident $name:literal $min:literal $max:tt $function:path;)*) => {
        /// A builtin without a closure.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Builtin { $($variant,)* }

        impl Builtin {
            /// All of them.
            pub const ALL: &[Builtin] = &[$(Builtin::$variant,)*];

            /// As the author writes it.
            pub fn name(self) -> &'static str {
                match self { $(Builtin::$variant => $name,)* }
            }

            /// Fewest and most arguments.
            fn counts(self) -> (usize, usize) {
                match self { $(Builtin::$variant => ($min, $max),)* }
            }

            /// Calls the builtin. The number of arguments was checked before.
            pub fn call<'a>(self, arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
                match self { $(Builtin::$variant => $function(arguments, budget),)* }
            }
        }
    };
}

/// Any number of arguments.
const MANY: usize = usize::MAX;

builtins! {
    Trim "trim" 1 2 string::trim;
    TrimPrefix "trimPrefix" 1 2 string::trim_prefix;
    TrimSuffix "trimSuffix" 1 2 string::trim_suffix;
    Upper "upper" 1 1 string::upper;
    Lower "lower" 1 1 string::lower;
    Split "split" 2 3 string::split;
    SplitAfter "splitAfter" 2 3 string::split_after;
    Replace "replace" 3 4 string::replace;
    Repeat "repeat" 2 2 string::repeat;
    IndexOf "indexOf" 2 2 string::index_of;
    LastIndexOf "lastIndexOf" 2 2 string::last_index_of;
    HasPrefix "hasPrefix" 2 2 string::has_prefix;
    HasSuffix "hasSuffix" 2 2 string::has_suffix;
    Join "join" 1 2 string::join;
    EscapeXml "escapeXML" 1 1 escape::escape_xml;
    EscapeUrl "escapeURL" 1 1 escape::escape_url;
    UrlPath "urlPath" 1 1 escape::url_path_builtin;
    Max "max" 0 MANY number::max;
    Min "min" 0 MANY number::min;
    Mean "mean" 0 MANY number::mean;
    Median "median" 0 MANY number::median;
    Abs "abs" 1 1 number::abs;
    Ceil "ceil" 1 1 number::ceil;
    Floor "floor" 1 1 number::floor;
    Round "round" 1 1 number::round;
    Int "int" 1 1 types::int;
    Float "float" 1 1 types::float;
    String "string" 1 1 types::string;
    Type "type" 1 1 types::type_of;
    ToJson "toJSON" 1 1 types::to_json;
    FromJson "fromJSON" 1 1 types::from_json;
    ToBase64 "toBase64" 1 1 types::to_base64;
    FromBase64 "fromBase64" 1 1 types::from_base64;
    Len "len" 1 1 types::len;
    Get "get" 2 2 types::get;
    Date "date" 1 3 date::date;
    Duration "duration" 1 1 date::duration;
    Timezone "timezone" 1 1 date::timezone;
    First "first" 1 1 array::first;
    Last "last" 1 1 array::last;
    Take "take" 2 2 array::take;
    Reverse "reverse" 1 1 array::reverse;
    Sort "sort" 1 2 array::sort;
    Concat "concat" 1 MANY array::concat;
    Flatten "flatten" 1 1 array::flatten;
    Uniq "uniq" 1 1 array::uniq;
    Keys "keys" 1 1 map::keys;
    Values "values" 1 1 map::values;
    ToPairs "toPairs" 1 1 map::to_pairs;
    FromPairs "fromPairs" 1 1 map::from_pairs;
    Hmac "hmac" 4 4 placed;
    SentAt "sent_at" 1 1 placed;
    Request "request" 1 1 placed;
}

/// The entry of a builtin whose result is to be placed; `opaque` calls these builtins.
fn placed<'a>(_: &[Value<'a>], _: &mut Budget) -> Outcome<'a> {
    Err(Fault::other("it makes something to be placed"))
}

impl Builtin {
    /// The builtin with this name.
    pub fn named(name: &str) -> Option<Builtin> {
        Builtin::ALL.iter().copied().find(|builtin| builtin.name() == name)
    }

    /// Whether the builtin's result is to be placed, even if no argument holds a secret.
    pub fn is_placed(self) -> bool {
        matches!(self, Builtin::Hmac | Builtin::SentAt | Builtin::Request)
    }

    /// Checks that the builtin takes `count` arguments.
    pub fn check_count(self, count: usize) -> Result<(), String> {
        let (min, max) = self.counts();
        if (min..=max).contains(&count) {
            return Ok(());
        }
        let wanted = match (min, max) {
            (min, MANY) => format!("at least {min}"),
            (min, max) if min == max => min.to_string(),
            (min, max) => format!("{min} to {max}"),
        };
        Err(format!("`{}` takes {wanted} arguments, not {count}", self.name()))
    }
}

/// A builtin with a closure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loop {
    All,
    None,
    Any,
    One,
    Filter,
    Map,
    Count,
    Sum,
    Find,
    FindIndex,
    FindLast,
    FindLastIndex,
    GroupBy,
    SortBy,
    Reduce,
}

impl Loop {
    /// All of them.
    pub const ALL: &[Loop] = &[
        Loop::All,
        Loop::None,
        Loop::Any,
        Loop::One,
        Loop::Filter,
        Loop::Map,
        Loop::Count,
        Loop::Sum,
        Loop::Find,
        Loop::FindIndex,
        Loop::FindLast,
        Loop::FindLastIndex,
        Loop::GroupBy,
        Loop::SortBy,
        Loop::Reduce,
    ];

    /// As the author writes it.
    pub fn name(self) -> &'static str {
        match self {
            Loop::All => "all",
            Loop::None => "none",
            Loop::Any => "any",
            Loop::One => "one",
            Loop::Filter => "filter",
            Loop::Map => "map",
            Loop::Count => "count",
            Loop::Sum => "sum",
            Loop::Find => "find",
            Loop::FindIndex => "findIndex",
            Loop::FindLast => "findLast",
            Loop::FindLastIndex => "findLastIndex",
            Loop::GroupBy => "groupBy",
            Loop::SortBy => "sortBy",
            Loop::Reduce => "reduce",
        }
    }

    /// The builtin with this name.
    pub fn named(name: &str) -> Option<Loop> {
        Loop::ALL.iter().copied().find(|which| which.name() == name)
    }

    /// Whether the closure is optional.
    pub fn body_is_optional(self) -> bool {
        matches!(self, Loop::Count | Loop::Sum)
    }

    /// Whether the builtin takes an argument after the closure.
    pub fn has_extra(self) -> bool {
        matches!(self, Loop::SortBy | Loop::Reduce)
    }

    /// Whether the closure has `#acc`.
    pub fn has_acc(self) -> bool {
        self == Loop::Reduce
    }

    /// Whether the closure has `#index`.
    pub fn has_index(self) -> bool {
        matches!(self, Loop::Map | Loop::Reduce)
    }
}

/// Whether a name belongs to a builtin.
pub(crate) fn is_builtin(name: &str) -> bool {
    Builtin::named(name).is_some() || Loop::named(name).is_some()
}

/// The text of argument `index`.
fn text<'v, 'a>(arguments: &'v [Value<'a>], index: usize) -> Result<&'v crate::value::Text<'a>, Fault> {
    match &arguments[index] {
        Value::Text(text) => Ok(text),
        other => {
            Err(Fault::of_type(format!("argument {} must be a string, not {}", index + 1, other.type_name())))
        }
    }
}

/// The integer of argument `index`; a float is cut off, as in Go.
fn integer(arguments: &[Value<'_>], index: usize) -> Result<i64, Fault> {
    match &arguments[index] {
        Value::Int(n) => Ok(*n),
        Value::Float(x) => Ok(*x as i64),
        other => Err(Fault::of_type(format!(
            "argument {} must be an integer, not {}",
            index + 1,
            other.type_name()
        ))),
    }
}

/// The list of argument `index`.
fn list<'v, 'a>(arguments: &'v [Value<'a>], index: usize) -> Result<&'v crate::value::List<'a>, Fault> {
    match &arguments[index] {
        Value::List(list) => Ok(list),
        other => {
            Err(Fault::of_type(format!("argument {} must be a list, not {}", index + 1, other.type_name())))
        }
    }
}
