//! Tests of named values.

use super::Choice;
use crate::{
    Arrange, DType, DataFormat, Learn, LossName, LrDecayStyle, OnError, OnNonFinite, OptimizerName,
    Rounding, TokenDtype, TooLong, WsdDecayStyle,
};

fn names_come_back<T: Choice + std::fmt::Display>() {
    for name in T::NAMES {
        let value: T = name.parse().unwrap();
        assert_eq!(value.to_string(), *name, "{}", T::WHAT);
    }
}

#[test]
fn every_value_prints_as_it_parses() {
    names_come_back::<DType>();
    names_come_back::<LossName>();
    names_come_back::<LrDecayStyle>();
    names_come_back::<OptimizerName>();
    names_come_back::<Rounding>();
    names_come_back::<Arrange>();
    names_come_back::<DataFormat>();
    names_come_back::<Learn>();
    names_come_back::<OnError>();
    names_come_back::<OnNonFinite>();
    names_come_back::<TokenDtype>();
    names_come_back::<TooLong>();
    names_come_back::<WsdDecayStyle>();
}

#[test]
fn synonyms_are_the_same_value() {
    for name in ["bf16", "bfloat16", "torch.bfloat16"] {
        assert_eq!(name.parse(), Ok(DType::BFloat16));
    }
    assert_eq!("torch.float".parse(), Ok(DType::Float32));
}

#[test]
fn an_unknown_name_gets_the_nearest_and_the_list() {
    let error = "Upp".parse::<Rounding>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`Upp` is no rounding; did you mean `up`? the valid ones are `up` and `down`"
    );
    let error = "int8".parse::<DType>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`int8` is no dtype; the valid ones are `float32`, `bfloat16`, `float16` and `float64`"
    );
}

#[test]
fn serde_writes_the_name() {
    assert_eq!(serde_json::to_value(DType::BFloat16).unwrap(), "bfloat16");
}
