//! A request's limits in the words of those who keep them.

use everyhop_http1 as http1;
use everyhop_plan::Limits;

/// The plan's limits as the codec wants them.
pub(crate) fn codec_limits(limits: &Limits) -> http1::Limits {
    let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    http1::Limits {
        head_bytes: size(limits.head_bytes),
        fields: size(limits.head_fields),
        target_bytes: size(limits.target_bytes),
    }
}
