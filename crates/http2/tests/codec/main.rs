//! What is promised of the codec, by hand: a file a subject.

mod cut;
mod floods;
mod flow;
mod frames;
mod goodbye;
mod heads;
mod hpack;
mod kit;
mod sent;
mod streams;
mod waiting;
