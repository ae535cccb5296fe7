//! What is promised of the codec, by hand: a file a subject.

mod against;
mod bounds;
mod codes;
mod cut;
mod floods;
mod flow;
mod frames;
mod goodbye;
mod heads;
mod held;
mod hpack;
mod kit;
mod other;
mod output;
mod sent;
mod streams;
mod tables;
mod together;
mod turns;
mod waiting;
mod written;
