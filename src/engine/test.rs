//! Tests of properties: what a filter asks of one property, each test once a project however many filters ask it.
//!
//! Projects ask the same of a property in many flags. So a request asks each test at most once, and remembers.

use std::collections::HashMap;

use ahash::RandomState;
use serde_json::Value;

use super::matcher::Matcher;
use super::property::SlotIndex;
use crate::definition::OperatorName;

/// Position of a test in a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TestIndex(u32);

/// What is asked of a property.
#[derive(Debug)]
pub(super) struct PropertyTest {
    pub slot: SlotIndex,
    pub matcher: Matcher,
}

/// The tests of a project.
#[derive(Debug, Default)]
pub(super) struct Tests(Vec<PropertyTest>);

/// Finds tests that are there already while a project is compiled.
#[derive(Debug, Default)]
pub(super) struct TestsByText {
    tests: Tests,
    known: HashMap<(SlotIndex, OperatorName, String), TestIndex, RandomState>,
}

/// Outcomes of tests of one request, in memory that is reused.
#[derive(Debug, Default)]
pub(super) struct TestMemo(Vec<Remembered>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remembered {
    Nothing,
    Fails,
    Holds,
}

impl TestsByText {
    /// The test of this slot with this operator and operand, made if new.
    pub fn add(
        &mut self,
        slot: SlotIndex,
        operator: OperatorName,
        value: Option<&Value>,
        matcher: impl FnOnce() -> Matcher,
    ) -> TestIndex {
        // No operand is not the operand `null`, but no JSON text is empty.
        let text = value.map(Value::to_string).unwrap_or_default();
        let Self { tests, known } = self;
        *known.entry((slot, operator, text)).or_insert_with(|| {
            tests.0.push(PropertyTest {
                slot,
                matcher: matcher(),
            });
            TestIndex((tests.0.len() - 1) as u32)
        })
    }

    /// Whether the test has a pattern that did not compile.
    pub fn is_broken_regex(&self, test: TestIndex) -> bool {
        self.tests
            .get(test)
            .is_some_and(|test| test.matcher.is_broken_regex())
    }

    /// The tests alone, in no more memory than they need.
    pub fn finish(self) -> Tests {
        let mut tests = self.tests;
        tests.0.shrink_to_fit();
        tests
    }
}

impl Tests {
    pub fn get(&self, test: TestIndex) -> Option<&PropertyTest> {
        self.0.get(test.0 as usize)
    }

    /// Heap bytes held.
    pub fn heap_bytes(&self) -> usize {
        let matchers: usize = self.0.iter().map(|test| test.matcher.heap_bytes()).sum();
        matchers + self.0.capacity() * size_of::<PropertyTest>()
    }
}

impl TestMemo {
    /// Tests kept between requests at most.
    const KEPT: usize = 16 * 1024;

    /// Forgets everything and makes room.
    pub fn reset(&mut self, tests: &Tests) {
        self.0.clear();
        self.0.shrink_to(Self::KEPT.max(tests.0.len()));
        self.0.resize(tests.0.len(), Remembered::Nothing);
    }

    /// The outcome of a test, asked for once.
    #[inline]
    pub fn get_or(&mut self, test: TestIndex, ask: impl FnOnce() -> bool) -> bool {
        match self.0.get_mut(test.0 as usize) {
            Some(Remembered::Holds) => true,
            Some(Remembered::Fails) => false,
            Some(unknown) => {
                let holds = ask();
                *unknown = if holds {
                    Remembered::Holds
                } else {
                    Remembered::Fails
                };
                holds
            }
            None => ask(),
        }
    }
}
