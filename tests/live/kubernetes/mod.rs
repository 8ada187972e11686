//! The kubernetes runtime against a real API server with real controllers, and KWOK for nodes.

mod cluster;
mod site;

mod applying;
mod chart;
mod deploying;
mod images;
mod nodes;
mod platforms;
mod rights;
mod scaling;
mod traffic;
mod watching;
