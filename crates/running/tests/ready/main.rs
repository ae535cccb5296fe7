//! What is made ready: in one program, so that it is linked once.

mod address;
mod again;
mod asked;
mod asks;
mod backend;
mod build;
mod carried;
mod cors;
mod hops;
mod judge;
mod judged;
mod kit;
mod limits;
mod logs;
mod material;
mod mirrors;
mod returned;
mod routes;
mod services;
mod sites;
mod spread;
mod stores;
mod tokens;
mod traces;
mod turns;
mod zones;
