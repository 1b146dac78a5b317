//! `decapod images`: the container images of the node.

use decapod_kubelet::containerd::find;
use decapod_kubelet::cri::Cri;
use decapod_kubelet::images::Images;

use super::Error;
use crate::args;

/// Imports an archive (OCI or Docker), or lists what is there.
pub async fn run(args: args::Images) -> Result<(), Error> {
    let data_dir = args::data_dir(&args.name, args.data_dir.as_ref());
    let socket = data_dir.join("containerd/containerd.sock");
    if !socket.exists() {
        return Err(Error::NotUp(data_dir));
    }
    let found = find(&args.runtime_dir).map_err(|error| Error::Images(error.to_string()))?;
    let images = Images::new(&socket, &found.ctr);
    match args.action {
        args::ImagesAction::Import { files } => {
            for file in files {
                let names = images.import(&file).await.map_err(|error| Error::Images(error.to_string()))?;
                names.iter().for_each(|name| println!("{name}"));
            }
        }
        args::ImagesAction::List => {
            let cri = Cri::new(&socket).map_err(|error| Error::Images(error.to_string()))?;
            let list = images.list(&cri).await.map_err(|error| Error::Images(error.to_string()))?;
            for image in list {
                println!("{}", image.repo_tags.join(" "));
            }
        }
    }
    Ok(())
}
