//! Ranges of addresses, and which parts of them are taken.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses, such as `10.42.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    address: IpAddr,
    prefix_bits: u8,
}

/// Ranges of which every node is given a part: one, or one of each family.
#[derive(Clone, Debug)]
pub struct Ranges {
    pools: Vec<Pool>,
    /// Which parts each node has, or has been promised, by pool.
    of_node: BTreeMap<String, Vec<u64>>,
}

#[derive(Clone, Debug)]
struct Pool {
    range: Cidr,
    part_bits: u8,
    taken: BTreeSet<u64>,
}

/// The most parts that a pool is cut into, as upstream (k8s.io/kubernetes/pkg/controller/nodeipam/ipam/cidrset).
const PART_BITS_MAX: u8 = 16;

// === impl Cidr ===

impl Cidr {
    /// The range of this address and length; `None` if it is longer than its family's addresses.
    pub fn new(address: IpAddr, prefix_bits: u8) -> Option<Cidr> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if prefix_bits > bits {
            return None;
        }
        let plain = Cidr { address, prefix_bits };
        let host_bits = u32::from(bits - prefix_bits);
        let number = plain.number().checked_shr(host_bits).unwrap_or(0).checked_shl(host_bits).unwrap_or(0);
        Some(plain.with(number, prefix_bits))
    }

    /// How many bits all addresses of the range share.
    pub fn prefix_bits(&self) -> u8 {
        self.prefix_bits
    }

    /// Whether it is of IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether an address is in both.
    pub fn overlaps(&self, other: &Cidr) -> bool {
        let shared = self.prefix_bits.min(other.prefix_bits);
        self.is_ipv4() == other.is_ipv4()
            && Cidr::new(self.address, shared)
                .zip(Cidr::new(other.address, shared))
                .is_some_and(|(a, b)| a == b)
    }

    fn bits(&self) -> u8 {
        if self.is_ipv4() { 32 } else { 128 }
    }

    fn number(&self) -> u128 {
        match self.address {
            IpAddr::V4(address) => u32::from(address).into(),
            IpAddr::V6(address) => address.into(),
        }
    }

    fn with(&self, number: u128, prefix_bits: u8) -> Cidr {
        let address = match self.address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(number as u32)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
        };
        Cidr { address, prefix_bits }
    }

    /// The part number `index` of those of length `part_bits`.
    fn part(&self, part_bits: u8, index: u64) -> Cidr {
        let shift = u32::from(self.bits() - part_bits);
        self.with(self.number() | u128::from(index).checked_shl(shift).unwrap_or(0), part_bits)
    }

    /// Which parts of length `part_bits` `other` overlaps: the first and the last.
    fn parts_of(&self, part_bits: u8, other: &Cidr) -> Option<(u64, u64)> {
        if !self.overlaps(other) {
            return None;
        }
        let shift = u32::from(self.bits() - part_bits);
        let last = u64::MAX >> (64 - u32::from(part_bits - self.prefix_bits).max(1));
        let last = if part_bits == self.prefix_bits { 0 } else { last };
        let index = |number: u128| {
            u64::try_from((number ^ self.number()).checked_shr(shift).unwrap_or(0)).unwrap_or(last)
        };
        if other.prefix_bits <= self.prefix_bits {
            return Some((0, last));
        }
        let host_bits = u32::from(other.bits() - other.prefix_bits);
        let end = other.number() | (1u128.checked_shl(host_bits).unwrap_or(0).wrapping_sub(1));
        Some((index(other.number()), index(end).min(last)))
    }
}

impl FromStr for Cidr {
    type Err = ();

    fn from_str(text: &str) -> Result<Cidr, ()> {
        let (address, bits) = text.split_once('/').ok_or(())?;
        Cidr::new(address.parse().map_err(drop)?, bits.parse().map_err(drop)?).ok_or(())
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

// === impl Ranges ===

impl Ranges {
    /// Parts of these ranges, each of its own length in bits. A part is at least as long as its range, and no range
    /// is cut into more than 65,536 parts.
    pub fn new(ranges: Vec<(Cidr, u8)>) -> Ranges {
        let pool = |(range, part_bits): (Cidr, u8)| {
            let most = (range.prefix_bits + PART_BITS_MAX).min(range.bits());
            Pool { range, part_bits: part_bits.clamp(range.prefix_bits, most), taken: BTreeSet::new() }
        };
        Ranges { pools: ranges.into_iter().map(pool).collect(), of_node: BTreeMap::new() }
    }

    /// Keeps what overlaps `range`, such as that of Services, from being handed out.
    pub fn exclude(&mut self, range: &Cidr) {
        for pool in &mut self.pools {
            pool.take(range);
        }
    }

    /// Notes that `node` has `parts`; those that are none of ours are passed over.
    pub fn occupy(&mut self, node: &str, parts: &[String]) {
        if parts.is_empty() {
            return;
        }
        let mut indices = Vec::new();
        for (pool, part) in self.pools.iter_mut().zip(parts) {
            let Ok(part) = part.parse::<Cidr>() else { return };
            let Some((first, _)) = pool.range.parts_of(pool.part_bits, &part) else { return };
            pool.take(&part);
            indices.push(first);
        }
        if let Some(before) = self.of_node.insert(node.to_owned(), indices.clone())
            && before != indices
        {
            // It was promised others, which it does not need any more.
            self.free(&before, &indices);
        }
    }

    /// Parts for `node`, the same each time until they are released; `None` if there are none left.
    pub fn reserve(&mut self, node: &str) -> Option<Vec<Cidr>> {
        let indices = match self.of_node.get(node) {
            Some(indices) => indices.clone(),
            None => {
                let free: Option<Vec<u64>> = self.pools.iter().map(Pool::free).collect();
                let free = free?;
                for (pool, index) in self.pools.iter_mut().zip(&free) {
                    pool.taken.insert(*index);
                }
                self.of_node.insert(node.to_owned(), free.clone());
                free
            }
        };
        Some(
            self.pools
                .iter()
                .zip(indices)
                .map(|(pool, index)| pool.range.part(pool.part_bits, index))
                .collect(),
        )
    }

    /// Takes back what `node` had.
    pub fn release(&mut self, node: &str) {
        if let Some(indices) = self.of_node.remove(node) {
            self.free(&indices, &[]);
        }
    }

    fn free(&mut self, indices: &[u64], kept: &[u64]) {
        for (at, (pool, index)) in self.pools.iter_mut().zip(indices).enumerate() {
            if kept.get(at) != Some(index) {
                pool.taken.remove(index);
            }
        }
    }
}

// === impl Pool ===

impl Pool {
    fn take(&mut self, range: &Cidr) {
        if let Some((first, last)) = self.range.parts_of(self.part_bits, range) {
            self.taken.extend(first..=last);
        }
    }

    fn free(&self) -> Option<u64> {
        let count = 1u64 << (self.part_bits - self.range.prefix_bits);
        // The first gap: `taken` is in order.
        let mut free = 0;
        for taken in &self.taken {
            if *taken != free {
                break;
            }
            free += 1;
        }
        (free < count).then_some(free)
    }
}
