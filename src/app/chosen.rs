//! What a server is started with once flags and environment have met the platform file. Pure.
//!
//! Flags win over the environment, and that over the file. A credential meets the address that came
//! with it, or the one of a trusted file: a file out of a cloned repository names no address that
//! this server's token goes to, and lists no tool that writes.

use std::path::Path;

use crate::{
    platform::{Platform, Trust, Untrusted, model::CatalogSource},
    settings::{CatalogSettings, Credential, OpenMetadataSettings, ToolSwitches},
    tools::{self, Effect},
};

/// The catalog, or why there is none although one is named. `platform`: none where there is no
/// file, or it has faults.
pub(super) fn catalog(
    given: &CatalogSettings,
    platform: Option<(&Platform, &Path)>,
) -> Result<CatalogSettings, String> {
    let (source, trust, file) = match platform {
        Some((platform, file)) => (&platform.catalog, &platform.trust, Some(file)),
        None => (&CatalogSource::Environment, &Trust::NotAsked, None),
    };
    match (given, source) {
        (CatalogSettings::Demo, _) => Ok(CatalogSettings::Demo),
        (CatalogSettings::OpenMetadata(given), source) => {
            Ok(CatalogSettings::OpenMetadata(completed(given, source)))
        }
        (CatalogSettings::None, CatalogSource::Environment) => Ok(CatalogSettings::None),
        (CatalogSettings::WithoutAddress(given), CatalogSource::Environment) => {
            match given.credential {
                Credential::None => Ok(CatalogSettings::None),
                _ => Err(NO_ADDRESS.into()),
            }
        }
        (given, CatalogSource::OpenMetadata { url, .. }) if trust.is_trusted() => {
            let parts = match given {
                CatalogSettings::WithoutAddress(given) => OpenMetadataSettings {
                    url: url.clone(),
                    ..given.clone()
                },
                _ => OpenMetadataSettings::at(url.clone()),
            };
            Ok(CatalogSettings::OpenMetadata(completed(&parts, source)))
        }
        (_, CatalogSource::OpenMetadata { .. } | CatalogSource::Withheld) => {
            Err(withheld(trust, file))
        }
    }
}

/// A credential without an address helps nobody.
pub(super) const NO_ADDRESS: &str =
    "there is a credential for OpenMetadata but no address: set OPENMETADATA_URL";

fn withheld(trust: &Trust, file: Option<&Path>) -> String {
    let file = file.map_or_else(|| "FILE".into(), |file| file.display().to_string());
    let why = match trust.permit() {
        Err(Untrusted::Changed) => {
            "it or a file that it refers to has changed since it was trusted"
        }
        _ => "nobody has trusted it",
    };
    format!(
        "the platform file {file} names the OpenMetadata to ask, and {why}: no token goes there \
         before `openpolicy-mcp trust {file}` (or set OPENMETADATA_URL)"
    )
}

/// With what the file says of the same address and flags and environment do not.
fn completed(given: &OpenMetadataSettings, source: &CatalogSource) -> OpenMetadataSettings {
    let mut settings = given.clone();
    let CatalogSource::OpenMetadata {
        url,
        token,
        token_file,
        ca_file,
    } = source
    else {
        return settings;
    };
    // A credential for one server is not shown to another.
    if url.trim().trim_end_matches('/') != given.url.trim().trim_end_matches('/') {
        return settings;
    }
    if matches!(settings.credential, Credential::None) {
        settings.credential = match (token, token_file) {
            (Some(token), _) => Credential::Token(token.clone()),
            (None, Some(file)) => Credential::TokenFile(file.clone()),
            (None, None) => Credential::None,
        };
    }
    if settings.ca_file.is_none() {
        settings.ca_file.clone_from(ca_file);
    }
    settings
}

/// The switches with the toolsets of the file, where no flag or variable chooses; and what of the
/// file does not hold.
pub(super) fn switches(given: &ToolSwitches, platform: &Platform) -> (ToolSwitches, Vec<String>) {
    let mut switches = given.clone();
    if !given.toolsets.is_empty() || !given.tools.is_empty() || platform.toolsets.is_empty() {
        return (switches, Vec::new());
    }
    let (held, withheld): (Vec<String>, Vec<String>) = platform
        .toolsets
        .iter()
        .cloned()
        .partition(|name| platform.trust.is_trusted() || !writes(name));
    switches.toolsets = held;
    (switches, withheld)
}

/// Whether a toolset has tools that write; `all` has.
fn writes(toolset: &str) -> bool {
    let mut tools = tools::all().iter();
    toolset == "all"
        || tools.any(|tool| tool.toolset.name() == toolset && tool.effect != Effect::Read)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::platform::trust::FilesDigest;

    const FILE: &str = "p.yaml";

    fn names(url: &str, trust: bool) -> Platform {
        Platform {
            catalog: CatalogSource::OpenMetadata {
                url: url.into(),
                token: Some("of-the-file".into()),
                token_file: None,
                ca_file: Some("file.pem".into()),
            },
            trust: match trust {
                true => Trust::Trusted(FilesDigest::of([])),
                false => Trust::NotAsked,
            },
            ..Platform::default()
        }
    }

    fn given(url: &str, token: Option<&str>) -> CatalogSettings {
        let settings = OpenMetadataSettings {
            credential: token.map_or(Credential::None, |token| Credential::Token(token.into())),
            ..OpenMetadataSettings::at(url.into())
        };
        match url.is_empty() {
            true => CatalogSettings::WithoutAddress(settings),
            false => CatalogSettings::OpenMetadata(settings),
        }
    }

    /// Address and token of what holds, or why nothing does.
    fn held(given: &CatalogSettings, platform: &Platform) -> Result<(String, String), String> {
        match catalog(given, Some((platform, Path::new(FILE))))? {
            CatalogSettings::OpenMetadata(settings) => Ok((
                settings.url,
                match settings.credential {
                    Credential::Token(token) => token.expose_secret().to_owned(),
                    _ => String::new(),
                },
            )),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn an_address_goes_with_the_credential_that_came_with_it() {
        let file = names("http://file", true);
        let pair = |url: &str, token: &str| Ok((url.to_owned(), token.to_owned()));
        let none = CatalogSettings::None;
        assert_eq!(held(&none, &file), pair("http://file", "of-the-file"));
        // The credential of the environment is nearer than that of the file.
        assert_eq!(
            held(&given("", Some("env")), &file),
            pair("http://file", "env")
        );
        // Another server does not see the token of the file.
        assert_eq!(
            held(&given("http://env", None), &file),
            pair("http://env", "")
        );
        assert_eq!(
            held(&given("http://file/", None), &file),
            pair("http://file/", "of-the-file")
        );
    }

    #[test]
    fn an_untrusted_file_gets_no_token_and_says_what_to_do() {
        let file = names("http://file", false);
        for given in [CatalogSettings::None, given("", Some("env"))] {
            let why = held(&given, &file).expect_err("withheld");
            assert!(why.contains("openpolicy-mcp trust p.yaml"), "{why}");
        }
        let withheld = Platform {
            catalog: CatalogSource::Withheld,
            trust: Trust::Changed,
            ..Platform::default()
        };
        let why = held(&CatalogSettings::None, &withheld).expect_err("withheld");
        assert!(why.contains("has changed since"), "{why}");
        assert!(held(&given("http://env", Some("env")), &file).is_ok());
    }

    #[test]
    fn an_untrusted_file_lists_no_tool_that_writes() {
        let mut platform = names("http://file", false);
        platform.toolsets = vec!["catalog".into(), "deploy".into(), "all".into()];
        let none = ToolSwitches::default();
        let (held, withheld) = switches(&none, &platform);
        assert_eq!(
            (held.toolsets, withheld.len()),
            (vec!["catalog".to_owned()], 2)
        );
        platform.trust = Trust::Trusted(FilesDigest::of([]));
        assert_eq!(switches(&none, &platform).0.toolsets.len(), 3);
        let chosen = ToolSwitches {
            tools: vec!["get_entity".into()],
            ..ToolSwitches::default()
        };
        assert_eq!(switches(&chosen, &platform).0, chosen);
    }
}
