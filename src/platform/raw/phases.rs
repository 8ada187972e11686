//! What stands at a phase: hooks, traffic, gate, budget, triggers.

use std::time::Duration;

use super::{CpuBudget, Healthy, Method, Promote};
use crate::platform::{
    quantity::{Bytes, Percent},
    read::{Placed, record},
    variables::Expanded,
};

record! {
    /// Something that is done before or after the services of a phase.
    pub struct RawHook {
        exec: RawExec,
        http: RawCall,
        /// A command that tells whether it has been done.
        check: Vec<Expanded>,
        timeout: Duration,
    }
}

record! {
    /// A command in the container of a service.
    pub struct RawExec {
        service: Placed<String>,
        command: Vec<Expanded>,
    }
}

record! {
    /// An HTTP request.
    pub struct RawCall {
        url: Expanded,
        method: Method,
    }
}

record! {
    /// How requests go over from one version of a service to another, weight by weight.
    pub struct RawTraffic {
        /// The VirtualService of Istio whose weights change.
        virtual_service: String,
        /// The subset that has the requests so far.
        from: String,
        /// The subset that gets them.
        to: String,
        /// Percent of the requests that `to` gets, step by step; `[100]` is blue-green.
        weights: Vec<Placed<Percent>>,
        /// Who lets the next weight come once the gate has held; the gate alone without it.
        promote: Promote,
    }
}

record! {
    /// What ends a phase well.
    pub struct RawGate {
        healthy: Healthy,
        memory_below: Percent,
        cpu_below: Percent,
        mean_response_below: Duration,
        p95_below: Duration,
        errors_below: Percent,
        catalog: RawCatalogGate,
        /// How long all of it has to hold.
        stable_for: Duration,
        /// How long it may take.
        timeout: Duration,
        /// Of response times and errors.
        window: Duration,
    }
}

record! {
    /// What a gate wants of the catalog.
    pub struct RawCatalogGate {
        ingestion_success_above: Percent,
        tests_passing_above: Percent,
        fresher_than: Duration,
    }
}

record! {
    /// What a phase may use, with everything before it.
    pub struct RawBudget {
        memory: Bytes,
        /// An amount, or a percentage of the capacity.
        cpu: CpuBudget,
        storage: Bytes,
    }
}

record! {
    /// Any of these rolls a run back.
    pub struct RawTriggers {
        memory_above: Percent,
        cpu_above: Percent,
        /// Share of the services deployed so far.
        unhealthy_above: Percent,
        mean_response_above: Duration,
        p95_above: Duration,
        errors_above: Percent,
        /// How long it has to hold.
        hold as "for": Duration,
        /// Of response times and errors.
        window: Duration,
    }
}
