//! Reads the recorded exchanges with a real OpenMetadata, once a version.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// The OpenMetadata that was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    V1_12_6,
    /// A build just before release 1.2.0.
    V1_2_0,
}

impl Version {
    pub fn text(self) -> &'static str {
        match self {
            Version::V1_12_6 => "1.12.6",
            Version::V1_2_0 => "1.2.0",
        }
    }

    pub fn folder(self) -> PathBuf {
        // The fuzz targets stand a folder deeper.
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|root| root.join("tests/fixtures/openmetadata"))
            .find(|folder| folder.is_dir())
            .expect("the recordings")
            .join(self.text())
    }

    /// Every exchange with this version, ordered by folder and name.
    pub fn recordings(self) -> &'static [Recording] {
        static NEW: OnceLock<Vec<Recording>> = OnceLock::new();
        static OLD: OnceLock<Vec<Recording>> = OnceLock::new();
        let cell = match self {
            Version::V1_12_6 => &NEW,
            Version::V1_2_0 => &OLD,
        };
        cell.get_or_init(|| read_all(self))
    }

    /// One exchange by folder and name, as `search/bills`.
    pub fn recording(self, name: &str) -> &'static Recording {
        self.recordings()
            .iter()
            .find(|recording| recording.name == name)
            .unwrap_or_else(|| panic!("no recording {name} of {}", self.text()))
    }
}

/// One exchange.
#[derive(Debug)]
pub struct Recording {
    /// Folder and file name without its ending.
    pub name: String,
    pub method: String,
    /// Percent-decoded, so that two spellings of one path are equal.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub body: Value,
    pub content_type: Option<String>,
    pub if_match: Option<String>,
    /// Whether the request carried a token.
    pub authorized: bool,
    pub status: u16,
    pub response_headers: Vec<(String, String)>,
    /// Text where the answer was not JSON, null where it was empty.
    pub response: Value,
}

impl Recording {
    pub fn folder(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        parameter(&self.query, name)
    }

    pub fn hits(&self) -> Option<&Vec<Value>> {
        self.response.pointer("/hits/hits")?.as_array()
    }

    pub fn total(&self) -> Option<u64> {
        self.response.pointer("/hits/total/value")?.as_u64()
    }
}

/// The first value of a query parameter.
pub fn parameter<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

pub fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

fn read_all(version: Version) -> Vec<Recording> {
    let folder = version.folder();
    let mut names = Vec::new();
    for group in std::fs::read_dir(&folder).expect("the folder of recordings") {
        let group = group.expect("a folder of recordings").path();
        for file in std::fs::read_dir(&group).expect("a folder of recordings") {
            let path = file.expect("a recording").path();
            let group_name = group.file_name().unwrap().to_string_lossy().into_owned();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            names.push((group_name, name, path));
        }
    }
    // By stem, not by file name: `delete-lineage` comes before `delete-lineage-again`.
    names.sort();
    names
        .into_iter()
        .filter(|(group, _, _)| group != "search-engine")
        .map(|(group, name, path)| read(format!("{group}/{name}"), &path))
        .collect()
}

fn read(name: String, path: &Path) -> Recording {
    let text = std::fs::read_to_string(path).expect("a readable recording");
    let exchange: Value = serde_json::from_str(&text).expect("a recording is JSON");
    let request = &exchange["request"];
    let response = &exchange["response"];
    let text_of = |value: &Value| value.as_str().map(str::to_owned);
    Recording {
        name,
        method: text_of(&request["method"]).expect("a method"),
        path: decoded(request["path"].as_str().expect("a path")),
        query: pairs(&request["query"]),
        body: request["body"].clone(),
        content_type: text_of(&request["content_type"]),
        if_match: text_of(&request["headers"]["If-Match"]),
        authorized: request["authorized"].as_bool().unwrap_or(true),
        status: u16::try_from(response["status"].as_u64().expect("a status")).unwrap(),
        response_headers: response["headers"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        response: response["body"].clone(),
    }
}

fn pairs(query: &Value) -> Vec<(String, String)> {
    query
        .as_array()
        .into_iter()
        .flatten()
        .map(|pair| {
            let part = |index: usize| pair[index].as_str().expect("a query text").to_owned();
            (part(0), part(1))
        })
        .collect()
}
