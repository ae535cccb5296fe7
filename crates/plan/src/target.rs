//! What of a request's path goes to the backend. A route is chosen, and every check made, by the path as the client sent it;
//! the query goes on as it came in any case. Read next: `route.rs`.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    AsItCame {},
    /// Without `strip` at its beginning, behind `under`: both canonical, without a slash at their ends, empty where there is
    /// none. Every path that the route takes begins with `strip`.
    Moved {
        strip: String,
        under: String,
    },
    /// What `to` makes of a path that the whole of `regex` fits, by its named groups; any other goes on as it came.
    Rewritten {
        regex: String,
        to: String,
    },
    /// This path, whatever was asked for.
    Fixed {
        path: String,
    },
}

impl Target {
    pub fn is_as_it_came(&self) -> bool {
        *self == Target::AsItCame {}
    }
}
