//! The chain of invocations behind an invocation, as Lambda counts it in the trace header to stop
//! recursive loops.
//!
//! The AWS SDK of a function forwards the header of its invocation with each call, SQS keeps it as
//! the message's `AWSTraceHeader`, and the invocation that the message causes is one hop further.
//! Lambda ends a chain after about 16 of them unless the function's `RecursiveLoop` is `Allow`.
//!
//! Source: the Lambda developer guide, "Use Lambda recursive loop detection to prevent infinite
//! loops".

use crate::random;

/// Hops after which Lambda stops a chain.
pub const HOPS_MAX: u32 = 16;

/// The message attribute in which SQS keeps a trace header.
pub const MESSAGE_ATTRIBUTE: &str = "AWSTraceHeader";

/// The header of an invocation that is `hops` invocations away from the outside world.
pub(crate) fn header(hops: u32) -> String {
    let (root, parent) = (format!("1-{}-{}", random::hex(4), random::hex(12)), random::hex(8));
    format!("Root={root};Parent={parent};Sampled=0;Lineage=1:{hops}")
}

/// Hops that a header tells of; 0 where it tells of none.
pub(crate) fn hops(header: &str) -> u32 {
    let lineage = header.split(';').find_map(|part| part.trim().strip_prefix("Lineage="));
    lineage.and_then(|lineage| lineage.rsplit(':').next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_tells_its_hops() {
        assert_eq!(hops(&header(7)), 7);
        assert_eq!(hops("Root=1-0-0;Sampled=0"), 0);
        assert_eq!(hops("Lineage=x"), 0);
    }
}
