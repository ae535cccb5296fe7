//! One hop of a plan made ready by itself, for whoever has no engine: with the same TLS, and the same judge of who is there.
//! Read next: `hops.rs`.

use crate::address::Found;
use crate::backend::BackendRun;
use crate::hops::{Hops, Lists, Speaks};
use crate::material::{Blob, Listed, Unusable};
use everyhop_plan::{Backend, Identity, UpstreamProtocol};
use std::collections::HashMap;
use std::sync::Arc;

/// A backend that is spoken to in HTTP/1.1, for one exchange.
pub fn alone(
    backend: &Backend,
    identities: &[Identity],
    material: &[Listed],
    blob: &Blob,
    names: &HashMap<String, Vec<Found>>,
) -> Result<Arc<BackendRun>, Unusable> {
    let listed = Lists::of(material);
    let speaks = Speaks { protocol: UpstreamProtocol::Http1, lenient_answers: false, apart: true };
    Hops::after(None, identities, &listed, blob, names).backend(backend, speaks, None)
}
