//! Keeps what a service is, as `restore` takes it back: its containers, their images, their files.

use std::collections::BTreeSet;

use bollard::query_parameters::{RemoveImageOptions, TagImageOptions};
use serde::{Deserialize, Serialize};

use super::{
    ComposeRuntime,
    bind_files::{self, Kept},
    containers::{Container, image_words},
    engine::is_absent,
};
use crate::{
    platform::ServiceName,
    runtime::{Before, Problem},
};

/// Images are kept by a tag in this repository, so that no prune takes them.
const KEPT_IMAGES: &str = "openpolicy-keep";

/// What `Before::configuration` holds.
#[derive(Serialize, Deserialize)]
pub(super) struct Captured {
    /// As the engine inspected them.
    pub containers: Vec<bollard::models::ContainerInspectResponse>,
    pub files: Vec<Kept>,
}

impl ComposeRuntime {
    pub(super) async fn capture_all(
        &self,
        services: &[ServiceName],
    ) -> Result<Vec<Before>, Problem> {
        let found = self.containers().await?;
        let mut captured = Vec::with_capacity(services.len());
        for name in services {
            let containers = found.of(self.compose_name(name)?);
            for image in images(containers) {
                self.keep_image(&image).await?;
            }
            captured.push(before(name, containers, self.is_here().await)?);
        }
        Ok(captured)
    }

    /// Gives an image a tag of ours. One that is gone already cannot be kept: then its containers
    /// are all that is left of it.
    async fn keep_image(&self, image: &str) -> Result<(), Problem> {
        let client = self.engine.client().await?;
        let options = TagImageOptions {
            repo: Some(KEPT_IMAGES.to_owned()),
            tag: Some(tag(image)),
        };
        let tagging = async {
            match client.tag_image(image, Some(options)).await {
                Err(error) if !is_absent(&error) => Err(error),
                _ => Ok(()),
            }
        };
        self.engine
            .asked(format!("keeping the image {image}"), tagging)
            .await
    }

    pub(super) async fn release_all(
        &self,
        before: &[Before],
        still: &[Before],
    ) -> Result<(), Problem> {
        let client = self.engine.client().await?;
        let still = captured_images(still);
        for image in captured_images(before).difference(&still) {
            let name = format!("{KEPT_IMAGES}:{}", tag(image));
            let options = RemoveImageOptions {
                noprune: true,
                ..RemoveImageOptions::default()
            };
            let removing = client.remove_image(&name, Some(options), None);
            match self
                .engine
                .asked(format!("releasing {name}"), removing)
                .await
            {
                Ok(_) => {}
                // Gone already, or a container is made of it: then it stays for that.
                Err(problem) => tracing::debug!(%problem, "An image is kept"),
            }
        }
        Ok(())
    }
}

/// What a service with these containers is.
pub(super) fn before(
    name: &ServiceName,
    containers: &[Container],
    is_here: bool,
) -> Result<Before, Problem> {
    let first = containers.first();
    let captured = first.map(|_| Captured {
        containers: containers.iter().map(|one| one.0.clone()).collect(),
        files: match is_here {
            true => bind_files::kept(containers),
            // Files of this machine with the same names are others.
            false => Vec::new(),
        },
    });
    let configuration = captured
        .map(serde_json::to_value)
        .transpose()
        .map_err(|error| Problem::failed(format!("keeping what {name} is"), error))?;
    Ok(Before {
        service: name.clone(),
        configuration,
        was_running: containers.iter().any(Container::is_running),
        image: first.and_then(|one| Some(image_words(one.image_name()?, one.image_id()))),
        around: None,
    })
}

fn captured_images(before: &[Before]) -> BTreeSet<String> {
    before
        .iter()
        .filter_map(|one| one.configuration.clone())
        .filter_map(|configuration| serde_json::from_value::<Captured>(configuration).ok())
        .flat_map(|captured| captured.containers)
        .filter_map(|container| container.image)
        .collect()
}

fn images(containers: &[Container]) -> BTreeSet<String> {
    containers
        .iter()
        .map(|container| container.image_id().to_owned())
        .filter(|id| !id.is_empty())
        .collect()
}

/// Twelve digits, as `docker images` shows them.
fn tag(image: &str) -> String {
    let digits = image.trim_start_matches("sha256:");
    digits.get(..12).unwrap_or(digits).to_owned()
}
