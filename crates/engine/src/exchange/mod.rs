//! One request and its answer, whichever protocol either side speaks: its words, its body, and both ways at once.
//! It knows neither a client's connection nor a backend's. Read next: `words.rs`, then `carry.rs`.

pub(crate) mod again;
pub(crate) mod agreed;
pub mod asked;
pub(crate) mod body;
pub(crate) mod both_ways;
pub(crate) mod carry;
pub(crate) mod coding;
mod compress;
pub(crate) mod copied;
pub(crate) mod cors;
pub(crate) mod edits;
pub(crate) mod ends;
pub(crate) mod inspection;
pub(crate) mod limited;
pub(crate) mod limits;
pub(crate) mod methods;
pub(crate) mod observed;
pub(crate) mod pulse;
pub(crate) mod returned;
pub(crate) mod shape;
pub(crate) mod sides;
pub(crate) mod streams;
pub(crate) mod told;
pub(crate) mod trace;
pub(crate) mod trailers;
pub(crate) mod tries;
pub(crate) mod turn;
pub(crate) mod unstuck;
pub(crate) mod verdict;
pub(crate) mod views;
pub(crate) mod websocket;
pub mod whole;
pub(crate) mod words;
