//! A runtime whose services say and use what a test wants, without processes.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use openpolicy_mcp::{
    platform::{Bytes, MilliCpu, ServiceName},
    runtime::{
        Applied, Before, Change, Desired, LogLine, LogPage, LogQuery, Observed, Output, Problem,
        Runtime, ServiceState, Stopped, Stream, Streams, Usage, Work,
    },
};

/// Every service runs, says the same lines and uses the same; what is named here differs.
#[derive(Default)]
pub struct ScriptedRuntime {
    pub lines: BTreeMap<String, Vec<String>>,
    pub memory: BTreeMap<String, u64>,
    /// Services that cannot be looked at.
    pub hidden: Vec<String>,
}

impl ScriptedRuntime {
    fn hides(&self, service: &ServiceName) -> bool {
        self.hidden.contains(&service.0)
    }

    fn not_supported<'a, T: 'a>(what: &'static str) -> Work<'a, T> {
        Box::pin(async move {
            Err(Problem::NotSupported {
                what,
                runtime: "the scripted runtime",
            })
        })
    }
}

impl Runtime for ScriptedRuntime {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn target<'a>(&'a self) -> Work<'a, String> {
        Box::pin(async { Ok("the scripted runtime".into()) })
    }

    fn resolve<'a>(&'a self, _: &'a [ServiceName]) -> Work<'a, Vec<Desired>> {
        Self::not_supported("starting services")
    }

    fn capture<'a>(&'a self, _: &'a [ServiceName]) -> Work<'a, Vec<Before>> {
        Self::not_supported("restoring services")
    }

    fn observe<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Observed>> {
        let all = services.iter().map(|service| {
            let state = match self.hides(service) {
                true => ServiceState::Unknown("scripted".into()),
                false => ServiceState::Running,
            };
            Observed::new(service.clone(), state)
        });
        let all = all.collect();
        Box::pin(async move { Ok(all) })
    }

    fn apply<'a>(&'a self, _: Change<'a>) -> Work<'a, Vec<Applied>> {
        Self::not_supported("starting services")
    }

    fn restore<'a>(&'a self, _: &'a Before) -> Work<'a, Applied> {
        Self::not_supported("restoring services")
    }

    fn stop<'a>(&'a self, _: &'a [ServiceName], _: Duration) -> Work<'a, Vec<Stopped>> {
        Self::not_supported("stopping services")
    }

    fn logs<'a>(&'a self, query: &'a LogQuery) -> Work<'a, LogPage> {
        Box::pin(async move {
            if self.hides(&query.service) {
                return Err(Problem::failed("reading logs", "scripted"));
            }
            let usual = vec!["INFO ready".to_owned()];
            let lines = self.lines.get(&query.service.0).unwrap_or(&usual);
            // A cursor of this runtime is a number of lines.
            let start: usize = query
                .cursor
                .as_ref()
                .map_or(0, |cursor| cursor.parse().expect("a cursor of its own"));
            let lines = lines.iter().skip(start).take(query.limit);
            let lines: Vec<LogLine> = lines
                .map(|text| LogLine {
                    at: Timestamp::UNIX_EPOCH + Duration::from_secs(1_767_225_600),
                    stream: Stream::Out,
                    text: text.clone(),
                })
                .collect();
            Ok(LogPage {
                cursor: Some((start + lines.len()).to_string()),
                lines,
                ..LogPage::default()
            })
        })
    }

    fn usage<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Usage>> {
        let all = services
            .iter()
            .map(|service| {
                let mut usage = Usage::none(service.clone(), Timestamp::UNIX_EPOCH);
                if !self.hides(service) {
                    let memory = self.memory.get(&service.0).copied().unwrap_or(64 << 20);
                    usage.memory = Some(Bytes(memory));
                    usage.cpu = Some(MilliCpu(100));
                }
                usage
            })
            .collect();
        Box::pin(async move { Ok(all) })
    }

    fn exec<'a>(
        &'a self,
        _: &'a ServiceName,
        _: &'a [String],
        _: Streams<'a>,
        _: Duration,
    ) -> Work<'a, Output> {
        Self::not_supported("running commands")
    }
}
