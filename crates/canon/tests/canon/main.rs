//! What has one form and what has none: in one program, so that it is linked once.

mod edges;
mod forms;
mod networks;
mod proxy;
mod readings;
mod returned;
mod rewrite;
mod told;
