//! `get_logs`: what services say, repeated lines folded, followed on request.

mod cursor;
mod read;

use std::time::{Duration, Instant};

use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use self::{cursor::Place, read::Read};
use super::{
    Call, Context, Effect, Outcome, Tool, ToolError, Toolset, arguments, platform, schema, time,
};
use crate::{
    answer::{Answer, Budget, CursorScope, Page, Table, Total, clean, time as times},
    observe::logs::{self, Filter, Level, Line},
    platform::Service,
};

const NAME: &str = "get_logs";

pub const TOOL: Tool = Tool {
    name: NAME,
    title: "Get logs",
    description: "Log lines of platform services: worst and most frequent first, repeated lines \
                  folded with counts, secrets masked. `follow` of an answer as `cursor` gives what \
                  came after.",
    toolset: Toolset::Platform,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        let mut fields = vec![
            ("read", schema::object()),
            ("follow", schema::string()),
            ("missing", schema::list(schema::string())),
            ("could_not_look", schema::list(schema::string())),
        ];
        fields.extend(schema::paged("lines"));
        schema::result(&["read", "lines", "total", "returned", "complete"], &fields)
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Names or container names; default all.
    services: Option<Vec<String>>,
    /// 15m, 24h or a time.
    since: Option<String>,
    /// And worse.
    level: Option<LevelName>,
    /// Regular expression, any case.
    pattern: Option<String>,
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// Single lines, newest first, instead of folded ones.
    raw: Option<bool>,
    /// Seconds to wait for a line.
    #[schemars(range(min = 0, max = 45))]
    wait: Option<u32>,
    /// `next` (rest of this answer) or `follow`.
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum LevelName {
    Debug,
    Info,
    Warn,
    Error,
}

impl LevelName {
    fn level(self) -> Level {
        match self {
            Self::Debug => Level::Debug,
            Self::Info => Level::Info,
            Self::Warn => Level::Warn,
            Self::Error => Level::Error,
        }
    }
}

const DEFAULT_LIMIT: u32 = 25;
/// Ten thousand lines of a noisy service are told in this many tokens.
const FOLDED: Budget = Budget::of(760);
const ASKED_FOR: Budget = Budget::of(7_600);
/// Characters of one line of the answer.
const LONGEST_FOLDED: usize = 240;
const LONGEST_RAW: usize = 1_000;
/// Between two looks for new lines.
const LOOK: Duration = Duration::from_millis(250);
/// A cursor that follows more services would be longer than what it brings.
const MOST_FOLLOWED: usize = 10;

async fn call(context: &Context, sent: Value) -> Outcome {
    let (asked, scope): (Arguments, _) = arguments::read_paged(NAME, sent)?;
    let watch = context.platform()?;
    let runtime = watch.runtime()?;
    let services = platform::chosen(watch.platform(), asked.services.as_deref(), None)?;
    let now = context.now.as_millisecond();
    let since = time::past("since", asked.since.as_deref(), now)?;
    let filter = Filter {
        since: since.and_then(|since| jiff::Timestamp::from_millisecond(since).ok()),
        level: asked.level.map(LevelName::level),
        pattern: asked.pattern.as_deref().map(pattern).transpose()?,
    };
    let place = Place::read(asked.cursor.as_deref(), &scope, services.len())?;
    let wait = Duration::from_secs(asked.wait.unwrap_or(0).into());
    let until = (Instant::now() + wait).min(context.deadline());
    let (read, kept, counts) = loop {
        let read = read::all(runtime.as_ref(), &services, &filter, &place).await;
        let (kept, counts) = logs::filtered(read.lines.clone(), &filter);
        if !kept.is_empty() || Instant::now() + LOOK >= until || place.until.is_some() {
            break (read, kept, counts);
        }
        tokio::time::sleep(LOOK).await;
    };
    if read.lines.is_empty()
        && read.looked_at == 0
        && let Some(problem) = read.problem.clone()
    {
        // Not one service could be looked at.
        return Err(problem.into());
    }

    let is_raw = asked.raw.unwrap_or(false);
    let budget = match (asked.limit, is_raw) {
        (Some(_), _) => ASKED_FOR,
        (None, true) => Budget::DEFAULT,
        (None, false) => FOLDED,
    };
    let mut answer = Answer::new(budget);
    answer.put("read", read_of(&read, &kept, counts.without_level));
    answer.put("missing", read.missing.clone());
    answer.put("could_not_look", read.could_not_look.clone());
    let rows = if is_raw { raw(&kept) } else { folded(&kept) };
    page(&mut answer, &asked, rows, &read, &place, &scope, &services);
    Ok(answer)
}

fn page(
    answer: &mut Answer,
    asked: &Arguments,
    rows: Vec<Vec<Value>>,
    read: &Read,
    place: &Place,
    scope: &CursorScope,
    services: &[&Service],
) {
    let limit = asked.limit.unwrap_or(DEFAULT_LIMIT) as usize;
    let total = rows.len() as u64;
    let mut table = Table::new(&["at", "service", "level", "count", "text"]);
    for row in rows.into_iter().skip(place.at as usize).take(limit) {
        table.push(row);
    }
    if services.len() <= MOST_FOLLOWED {
        // Where the list is cut, its rest comes first, and the rest tells how to go on.
        answer.put("follow", place.follow(read, scope));
    } else if asked.wait.is_some() {
        answer.warn(format!(
            "new lines can be followed for {MOST_FOLLOWED} services at most: name them in `services`"
        ));
    }
    if read.older > 0 {
        answer.warn(format!(
            "{} older lines were not read: give a later `since` or fewer services",
            read.older
        ));
    }
    if read.has_newer {
        answer.warn("more lines came than are read at once: `follow` goes on with them");
    }
    let is_whole = read.older == 0 && read.could_not_look.is_empty();
    answer.page(
        "lines",
        Page {
            table,
            total: if is_whole {
                Total::Exact(total)
            } else {
                Total::AtLeast(total)
            },
            start: place.at,
            scope,
        },
    );
    let is_cut = answer.field("next").is_some();
    if is_cut {
        answer.remove("follow");
    }
    let rest = place.rest(read);
    answer.change_cursors(|next| rest.at(next, scope));
}

/// What was read: numbers of everything, also where lines are cut.
fn read_of(read: &Read, kept: &[Line], without_level: u64) -> Value {
    let mut told = json!({"lines": read.lines.len(), "matching": kept.len()});
    let times = |line: Option<&Line>| line.map(|line| times::text(line.at.as_millisecond()));
    let levels = [Level::Error, Level::Warn].map(|level| {
        let of_level = kept.iter().filter(|line| line.level == Some(level));
        (level, of_level.count())
    });
    for (level, count) in levels {
        if count > 0 {
            told[level.as_str()] = count.into();
        }
    }
    if without_level > 0 {
        told["left_away_without_level"] = without_level.into();
    }
    if let (Some(from), Some(to)) = (times(read.lines.first()), times(read.lines.last())) {
        told["from"] = from.into();
        told["to"] = to.into();
    }
    told
}

fn row(
    at: jiff::Timestamp,
    service: &str,
    level: Option<Level>,
    count: u64,
    text: String,
) -> Vec<Value> {
    vec![
        times::text(at.as_millisecond()).into(),
        service.into(),
        level.map(Level::as_str).into(),
        count.into(),
        text.into(),
    ]
}

/// Newest first.
fn raw(lines: &[Line]) -> Vec<Vec<Value>> {
    lines
        .iter()
        .rev()
        .map(|line| {
            let text = clean::text(&line.text, LONGEST_RAW);
            row(line.at, &line.service.0, line.level, 1, text)
        })
        .collect()
}

fn folded(lines: &[Line]) -> Vec<Vec<Value>> {
    logs::folded(lines)
        .into_iter()
        .map(|template| {
            let mut text = clean::text(&template.text, LONGEST_FOLDED);
            if template.continued > 0 {
                text += &format!(" (+{} lines that go on from it)", template.continued);
            }
            row(
                template.last,
                &template.service.0,
                template.level,
                template.count,
                text,
            )
        })
        .collect()
}

/// The longest pattern, in characters, and the most memory that it may take.
const LONGEST_PATTERN: usize = 500;
const LARGEST_PATTERN: usize = 1 << 20;

fn pattern(written: &str) -> Result<Regex, ToolError> {
    let refused = |reason: String| {
        ToolError::invalid(
            "pattern",
            format!("`pattern` is no regular expression: {reason}"),
            "give one like `timeout|refused`; \\ before ( ) [ ] . * + ? { } | takes them as they are",
        )
    };
    if written.chars().count() > LONGEST_PATTERN {
        return Err(refused(format!("longer than {LONGEST_PATTERN} characters")));
    }
    RegexBuilder::new(written)
        .case_insensitive(true)
        .size_limit(LARGEST_PATTERN)
        .build()
        .map_err(|error| {
            // The last line says what is wrong, those before draw it.
            let told = error.to_string();
            refused(
                told.lines()
                    .last()
                    .unwrap_or_default()
                    .replace("error: ", ""),
            )
        })
}
