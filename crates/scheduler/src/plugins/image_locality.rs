//! ImageLocality: a node scores better the more of the pod's images it has, by size; images that few nodes have count
//! less, so that pods do not pile up on them.

use crate::columns::Slot;
use crate::framework::{Cycle, MAX_SCORE, Plugin, Score};
use crate::topology::Images;

/// pkg/scheduler/framework/plugins/imagelocality
pub struct ImageLocality;

struct Locality<'c> {
    images: &'c Images,
    /// The pod's images that any node has, with what having each is worth.
    worth: Vec<(u32, i64)>,
    containers: i64,
}

const MIB: i64 = 1024 * 1024;
/// Less than this in images is worth nothing.
const MIN_BYTES: i64 = 23 * MIB;
/// More than this for each container is worth no more.
const MAX_BYTES_PER_CONTAINER: i64 = 1000 * MIB;

impl Plugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn score<'c>(&self, cycle: Cycle<'c>, _: &'c [Slot]) -> Option<Box<dyn Score + 'c>> {
        let (images, nodes) = (cycle.snapshot.images(), cycle.snapshot.live().len() as f64);
        let ids = cycle.shape().images.iter().filter_map(|name| images.id(name));
        let worth: Vec<(u32, i64)> = ids
            .map(|id| {
                let state = images.state(id);
                (id, (state.size_bytes as f64 * (f64::from(state.nodes) / nodes)) as i64)
            })
            .collect();
        let containers = cycle.shape().containers as i64;
        (!worth.is_empty()).then(|| Box::new(Locality { images, worth, containers }) as _)
    }
}

impl Score for Locality<'_> {
    fn score(&self, slot: Slot) -> i64 {
        let here = self.worth.iter().filter(|(id, _)| self.images.has(slot, *id));
        let max = MAX_BYTES_PER_CONTAINER * self.containers.max(1);
        let bytes = here.map(|(_, worth)| worth).sum::<i64>().clamp(MIN_BYTES, max);
        MAX_SCORE * (bytes - MIN_BYTES) / (max - MIN_BYTES)
    }
}
