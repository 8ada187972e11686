//! Deployments: the engine in a scripted world, under every fault that can be scripted.

mod answers;
#[cfg(target_os = "linux")]
mod approvals;
mod faults;
mod gates;
mod hooks;
mod passed;
mod plans;
#[cfg(target_os = "linux")]
mod process;
mod traffic;
mod world;

/// Tools that are asked where something is deployed: in here.
pub const TOOLS: &[&str] = &[
    "control_deployment",
    "deploy_phase",
    "get_deployment",
    "plan_deployment",
    "roll_back",
    "stop_services",
];
