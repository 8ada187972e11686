//! Sums of limits: what services may use together, and whether all of them say.

use crate::platform::model::Service;

/// What some services may use together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// Bytes, or thousandths of a core.
    pub amount: u64,
    /// Services that say nothing.
    pub silent: usize,
}

/// How many replicas count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replicas {
    /// As a table of a document counts: one of each.
    One,
    /// What runs at least.
    Fewest,
    /// What may run.
    Most,
}

impl Replicas {
    fn of(self, service: &Service) -> u64 {
        let (fewest, most) = service.replicas.unwrap_or((1, 1));
        u64::from(match self {
            Self::One => 1,
            Self::Fewest => fewest,
            Self::Most => most,
        })
    }
}

pub fn memory(services: &[&Service], replicas: Replicas) -> Sum {
    sum(services, replicas, |service| {
        service.memory.map(|limit| limit.0)
    })
}

pub fn cpu(services: &[&Service], replicas: Replicas) -> Sum {
    sum(services, replicas, |service| {
        service.cpu.map(|limit| limit.0)
    })
}

pub fn storage(services: &[&Service], replicas: Replicas) -> Sum {
    sum(services, replicas, |service| {
        service.storage.map(|size| size.0)
    })
}

fn sum(services: &[&Service], replicas: Replicas, of: impl Fn(&Service) -> Option<u64>) -> Sum {
    let mut sum = Sum::default();
    for service in services {
        match of(service) {
            Some(amount) => {
                let all = amount.saturating_mul(replicas.of(service));
                sum.amount = sum.amount.saturating_add(all);
            }
            None => sum.silent += 1,
        }
    }
    sum
}
