//! Writes small location databases in the MaxMind DB format, version 2.0: a search tree over address bits, a section
//! of values, and metadata. Written from the format's description; shares nothing with the reader under test.

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::{Value, json};

/// What a database is made of.
pub struct MmdbWriter {
    /// 4: a tree of 32 bits; 6: of 128 bits, with IPv4 networks below `::/96` and reachable as `::ffff:0:0/96`.
    pub ip_version: u16,
    /// Bits of one of the two records of a node: 24, 28 or 32.
    pub record_size: u16,
    /// Type in the metadata.
    pub database_type: String,
    networks: Vec<(IpAddr, u32, Value)>,
}

/// What a side of a node leads to.
#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

impl MmdbWriter {
    /// An empty City database.
    pub fn city(ip_version: u16, record_size: u16) -> Self {
        Self {
            ip_version,
            record_size,
            database_type: "GeoLite2-City".into(),
            networks: Vec::new(),
        }
    }

    /// Adds a network with its record. Networks must not overlap.
    pub fn network(mut self, network: &str, record: Value) -> Self {
        let (address, prefix) = network.split_once('/').unwrap();
        self.networks
            .push((address.parse().unwrap(), prefix.parse().unwrap(), record));
        self
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut data = Data::default();
        let mut nodes = vec![[Record::Nothing; 2]];
        let mut has_v4 = false;
        for (address, prefix, record) in &self.networks {
            let (bits, prefix) = self.bits(*address, *prefix);
            has_v4 |= address.is_ipv4();
            let offset = data.bytes.len();
            data.write(record);
            *slot(&mut nodes, bits, prefix) = Record::Data(offset);
        }
        if self.ip_version == 6 && has_v4 {
            let v4 = *slot(&mut nodes, 0, 96);
            *slot(&mut nodes, 0xffff << 32, 96) = v4;
        }
        let count = nodes.len();
        let mut bytes = Vec::new();
        for node in &nodes {
            let [left, right] = node.map(|record| match record {
                Record::Nothing => count,
                Record::Node(at) => at,
                Record::Data(offset) => count + 16 + offset,
            } as u32);
            let [left, right] = [left.to_be_bytes(), right.to_be_bytes()];
            match self.record_size {
                24 => {
                    bytes.extend(&left[1..]);
                    bytes.extend(&right[1..]);
                }
                28 => {
                    bytes.extend(&left[1..]);
                    bytes.push(left[0] << 4 | right[0]);
                    bytes.extend(&right[1..]);
                }
                _ => {
                    bytes.extend(left);
                    bytes.extend(right);
                }
            }
        }
        bytes.extend([0; 16]);
        bytes.extend(data.bytes);
        bytes.extend(b"\xab\xcd\xefMaxMind.com");
        bytes.extend(self.metadata(count));
        bytes
    }

    /// An address as the highest bits of 128, and how many of them count.
    fn bits(&self, address: IpAddr, prefix: u32) -> (u128, u32) {
        match (address, self.ip_version) {
            (IpAddr::V4(address), 4) => (u128::from(u32::from(address)) << 96, prefix),
            (IpAddr::V4(address), _) => (u128::from(u32::from(address)), prefix + 96),
            (IpAddr::V6(address), _) => (u128::from(address), prefix),
        }
    }

    fn metadata(&self, nodes: usize) -> Vec<u8> {
        let mut out = Data::default();
        let entries = [
            ("node_count", json!({"uint32": nodes})),
            ("record_size", json!({"uint16": self.record_size})),
            ("ip_version", json!({"uint16": self.ip_version})),
            ("database_type", json!(self.database_type)),
            ("languages", json!(["en", "de"])),
            ("binary_format_major_version", json!({"uint16": 2})),
            ("binary_format_minor_version", json!({"uint16": 0})),
            ("build_epoch", json!({"uint64": 1_760_000_000_u64})),
            ("description", json!({"en": "made by a test"})),
        ];
        out.control(7, entries.len());
        for (name, value) in entries {
            out.text(name);
            match value.as_object().and_then(|typed| typed.iter().next()) {
                Some((kind, number)) if kind != "en" => {
                    let number = number.as_u64().unwrap().to_be_bytes();
                    let (kind, size) = match kind.as_str() {
                        "uint16" => (5, 2),
                        "uint32" => (6, 4),
                        _ => (9, 8),
                    };
                    out.control(kind, size);
                    out.bytes.extend(&number[8 - size..]);
                }
                _ => out.write(&value),
            }
        }
        out.bytes
    }
}

/// The place that the first `prefix` bits lead to; nodes on the way are made.
fn slot(nodes: &mut Vec<[Record; 2]>, bits: u128, prefix: u32) -> &mut Record {
    let mut node = 0;
    for depth in 0..prefix - 1 {
        let side = side(bits, depth);
        node = match nodes[node][side] {
            Record::Node(next) => next,
            Record::Nothing => {
                nodes.push([Record::Nothing; 2]);
                let next = nodes.len() - 1;
                nodes[node][side] = Record::Node(next);
                next
            }
            Record::Data(_) => panic!("networks overlap"),
        };
    }
    &mut nodes[node][side(bits, prefix - 1)]
}

fn side(bits: u128, depth: u32) -> usize {
    (bits >> (127 - depth) & 1) as usize
}

/// The section of values. A text that was written before becomes a pointer, as in the databases that are sold.
#[derive(Default)]
struct Data {
    bytes: Vec<u8>,
    texts: HashMap<String, usize>,
}

impl Data {
    fn write(&mut self, value: &Value) {
        match value {
            Value::Null => unreachable!("the format has no null"),
            Value::Bool(value) => self.control(14, usize::from(*value)),
            Value::Number(number) => {
                if let Some(number) = number.as_u64() {
                    let bytes = number.to_be_bytes();
                    let skip = bytes.iter().take_while(|byte| **byte == 0).count();
                    self.control(9, 8 - skip);
                    self.bytes.extend(&bytes[skip..]);
                } else {
                    self.control(3, 8);
                    self.bytes.extend(number.as_f64().unwrap().to_be_bytes());
                }
            }
            Value::String(text) => self.text(text),
            Value::Array(values) => {
                self.control(11, values.len());
                values.iter().for_each(|value| self.write(value));
            }
            Value::Object(entries) => {
                self.control(7, entries.len());
                for (key, value) in entries {
                    self.text(key);
                    self.write(value);
                }
            }
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(offset) = self.texts.get(text) {
            let offset = *offset;
            if offset < 2048 {
                self.bytes.extend([0x20 | (offset >> 8) as u8, offset as u8]);
            } else {
                let offset = (offset - 2048) as u32;
                assert!(offset < 1 << 19, "a small database");
                self.bytes.push(0x28 | (offset >> 16) as u8);
                self.bytes.extend(&offset.to_be_bytes()[2..]);
            }
            return;
        }
        self.texts.insert(text.to_owned(), self.bytes.len());
        self.control(2, text.len());
        self.bytes.extend(text.as_bytes());
    }

    /// Type and size. Types above 7 have a second byte.
    fn control(&mut self, kind: u8, size: usize) {
        let (low, more) = match size {
            0..29 => (size as u8, vec![]),
            29..285 => (29, vec![(size - 29) as u8]),
            _ => (30, (size as u16 - 285).to_be_bytes().to_vec()),
        };
        if kind > 7 {
            self.bytes.extend([low, kind - 7]);
        } else {
            self.bytes.push(kind << 5 | low);
        }
        self.bytes.extend(more);
    }
}

/// A City record as full as those of cities in Europe.
pub fn full_record(country: &str, city: &str, postal: &str) -> Value {
    let names = |en: &str| json!({"de": format!("{en} (de)"), "en": en, "ja": "都市", "zh-CN": "城市"});
    json!({
        "city": {"geoname_id": 2_988_507, "names": names(city)},
        "continent": {"code": "EU", "geoname_id": 6_255_148, "names": names("Europe")},
        "country": {"geoname_id": 3_017_382, "is_in_european_union": true, "iso_code": country,
            "names": names(&format!("Country {country}"))},
        "location": {"accuracy_radius": 20, "latitude": 48.86, "longitude": 2.34, "time_zone": "Europe/Paris"},
        "postal": {"code": postal},
        "registered_country": {"geoname_id": 1, "iso_code": "US", "names": names("United States")},
        "subdivisions": [{"geoname_id": 3_012_874, "iso_code": "IDF", "names": names("Region")}],
    })
}
