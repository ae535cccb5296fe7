//! What is made ready: in one program, so that it is linked once.

mod address;
mod backend;
mod build;
mod carried;
mod hops;
mod judge;
mod judged;
mod kit;
mod material;
mod sites;
mod turns;
