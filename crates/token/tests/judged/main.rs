//! Tokens of every kind that somebody has tried, and those that pass (threats J01 to J04).

mod claims;
mod keys;
mod kit;
mod properties;
mod tokens;
