//! What dockerd says of itself, over its unix socket.
//!
//! bollard asks. A daemon that is newer or older than bollard's models (an unknown cgroup version, say) answers in a way that
//! it refuses to read: then the same questions are asked as plain HTTP, and the answers read field by field.

use std::collections::BTreeMap;

use bollard::Docker;
use bollard::query_parameters::ListImagesOptions;
use reqwest::Client;
use serde_json::Value;

use crate::facts::probe::DockerAnswer;
use crate::origin::{Fact, Unknown};

use super::budget::Budget;
use super::plan::SocketQuestion;
use super::{http, socket};

/// None when there is no Docker and none is expected.
pub async fn ask(question: SocketQuestion, budget: Budget) -> Option<Fact<DockerAnswer>> {
    let path = match socket::open(&question, budget).await {
        Ok(open) => open.into_iter().next()?,
        Err(why) => return why.map(Err),
    };
    Some(match by_client(&path, budget).await {
        Some(answer) => answer,
        None => by_hand(&path, budget).await,
    })
}

/// Through bollard; none when it cannot read what the daemon says.
async fn by_client(path: &str, budget: Budget) -> Option<Fact<DockerAnswer>> {
    let seconds = budget.left().as_secs().max(1);
    let docker = Docker::connect_with_unix(path, seconds, bollard::API_DEFAULT_VERSION).ok()?;
    let asked = async {
        let docker = docker.negotiate_version().await.ok()?;
        let (version, info, images) =
            tokio::join!(docker.version(), docker.info(), docker.list_images(None::<ListImagesOptions>));
        let (version, info) = (version.ok()?, info.ok()?);
        let mut tags: Vec<String> = images.ok()?.into_iter().flat_map(|image| image.repo_tags).collect();
        settle(&mut tags);
        Some(DockerAnswer {
            version: version.version?,
            cgroup_driver: info.cgroup_driver.map(|driver| driver.to_string()),
            cgroup_version: info.cgroup_version.map(|version| version.to_string()),
            storage_driver: info.driver,
            storage_status: info
                .driver_status
                .into_iter()
                .flatten()
                .filter_map(|row| Some((row.first()?.clone(), row.get(1)?.clone())))
                .collect(),
            security_options: info.security_options.unwrap_or_default(),
            warnings: info.warnings.unwrap_or_default(),
            images: Ok(tags),
        })
    };
    match budget.within(asked).await {
        Ok(answer) => answer.map(Ok),
        Err(waited) => Some(Err(Unknown::new(path, super::budget::no_answer(waited)))),
    }
}

async fn by_hand(path: &str, budget: Budget) -> Fact<DockerAnswer> {
    let client = http::unix_client(path).map_err(|why| Unknown::new(path, why))?;
    let (version, info, images) = tokio::join!(
        get(&client, path, "/version", budget),
        get(&client, path, "/info", budget),
        get(&client, path, "/images/json", budget),
    );
    let version = version?;
    let info = info?;
    let text = |json: &Value, name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
    Ok(DockerAnswer {
        version: text(&version, "Version").ok_or_else(|| Unknown::new(path, "its answer holds no version"))?,
        cgroup_driver: text(&info, "CgroupDriver"),
        cgroup_version: text(&info, "CgroupVersion"),
        storage_driver: text(&info, "Driver"),
        storage_status: rows(&info, "DriverStatus"),
        security_options: texts(&info, "SecurityOptions"),
        warnings: texts(&info, "Warnings"),
        images: images.and_then(|images| tags(&images).ok_or_else(|| Unknown::new(path, "its images are no list"))),
    })
}

async fn get(client: &Client, socket: &str, path: &str, budget: Budget) -> Fact<Value> {
    // The host's name does not matter over a socket, but HTTP wants one.
    let what = format!("{socket} {path}");
    let answer = http::ask(client.get(format!("http://docker{path}")), &what, budget).await?;
    match (answer.status, answer.json()) {
        (200, Some(json)) => Ok(json),
        _ => Err(Unknown::new(what, answer.summary())),
    }
}

fn texts(json: &Value, name: &str) -> Vec<String> {
    let items = json.get(name).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// `[["Backing Filesystem", "extfs"], ...]`.
fn rows(json: &Value, name: &str) -> BTreeMap<String, String> {
    let rows = json.get(name).and_then(Value::as_array).into_iter().flatten();
    rows.filter_map(|row| Some((row.get(0)?.as_str()?.to_owned(), row.get(1)?.as_str()?.to_owned()))).collect()
}

/// RepoTags is null or `<none>:<none>` for an image without name.
fn tags(images: &Value) -> Option<Vec<String>> {
    let mut tags: Vec<String> = images.as_array()?.iter().flat_map(|image| texts(image, "RepoTags")).collect();
    settle(&mut tags);
    Some(tags)
}

fn settle(tags: &mut Vec<String>) {
    tags.retain(|tag| tag != "<none>:<none>");
    tags.sort();
    tags.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_tags() {
        let images = serde_json::json!([
            {"Id": "a", "RepoTags": ["registry.k8s.io/pause:3.9", "pause:3.9"]},
            {"Id": "b", "RepoTags": null}, {"Id": "c", "RepoTags": ["<none>:<none>"]}]);
        assert_eq!(tags(&images).unwrap(), ["pause:3.9", "registry.k8s.io/pause:3.9"]);
        assert_eq!(tags(&serde_json::json!([])).unwrap(), Vec::<String>::new());
        assert!(tags(&serde_json::json!({"message": "no"})).is_none());
    }
}
