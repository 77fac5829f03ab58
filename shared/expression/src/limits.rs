//! The limits of the language. A test covers both sides of each.

/// Longest source of one field, in bytes.
pub const SOURCE_BYTES_MAX: usize = 64 * 1024;

/// Deepest nesting of brackets, prefix operators, branches and closures in one expression.
pub const NESTING_MAX: usize = 60;

/// Deepest tree of one expression, where a chain of operators or accesses counts once. It bounds
/// the stack.
pub const DEPTH_MAX: usize = 100;

/// Most nodes of one template's expressions together.
pub const NODES_MAX: usize = 5_000;

/// Work units of the evaluations of one record, together. One unit is about one node evaluated, one
/// element touched, or 16 bytes read or made.
pub const FUEL_MAX: u64 = 2_000_000;

/// Memory of all values that the evaluations of one record make, in bytes. Freed values still
/// count.
pub const MEMORY_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Most elements of one `a..b`.
pub const RANGE_ELEMENTS_MAX: i64 = 1_000_000;

/// Longest result of one `repeat`, in bytes.
pub const REPEAT_BYTES_MAX: usize = 1024 * 1024;

/// Longest regular expression, in bytes.
pub const REGEX_PATTERN_BYTES_MAX: usize = 4 * 1024;

/// Largest compiled regular expression, in bytes.
pub const REGEX_PROGRAM_BYTES_MAX: usize = 32 * 1024;

/// Deepest nesting of values: of event payloads, of `fromJSON` and of results.
pub const VALUE_NESTING_MAX: usize = 50;
