//! What is promised of the codec, by hand: a file a subject.

mod against;
mod bounds;
mod cut;
mod floods;
mod flow;
mod frames;
mod goodbye;
mod heads;
mod hpack;
mod kit;
mod other;
mod sent;
mod streams;
mod tables;
mod together;
mod turns;
mod waiting;
