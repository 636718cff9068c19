//! The gRPC surface as a golden file, so that no service, call, message, field or value appears, changes or goes unnoticed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{fmt::Write as _, fs, path::Path};

use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet, ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

#[test]
fn the_grpc_surface_is_the_one_in_surface_txt() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("surface.txt");
    let actual = render();
    if std::env::var_os("UPDATE_SURFACE").is_some() {
        fs::write(&file, &actual).unwrap();
    }
    let golden = fs::read_to_string(&file).unwrap_or_default();
    for (number, (golden, actual)) in golden.lines().zip(actual.lines()).enumerate() {
        assert_eq!(golden, actual, "proto/surface.txt, line {}. {HOW}", number + 1);
    }
    assert_eq!(golden, actual, "{HOW}");
}

const HOW: &str = "The contract is no longer what proto/surface.txt records. If that is meant, run \
    `UPDATE_SURFACE=1 cargo test -p chancery-proto --test surface`, commit the file, and say in CHANGELOG.md what changed";

/// Every service, message and enum of the contract, ordered by name; members ordered as declared.
fn render() -> String {
    let set = FileDescriptorSet::decode(chancery_proto::FILE_DESCRIPTOR_SET).unwrap();
    let mut items = Vec::new();
    for file in &set.file {
        let package = file.package();
        if !package.starts_with("chancery.") {
            continue;
        }
        items.extend(file.service.iter().map(|service| render_service(package, service)));
        items.extend(file.enum_type.iter().map(|each| render_enum(package, each)));
        for message in &file.message_type {
            render_message(package, message, &mut items);
        }
    }
    items.sort();
    items.join("\n")
}

fn render_service(package: &str, service: &ServiceDescriptorProto) -> String {
    let mut text = format!("service {package}.{}\n", service.name());
    for method in &service.method {
        let stream = |streaming| if streaming { "stream " } else { "" };
        let (client, server) = (stream(method.client_streaming()), stream(method.server_streaming()));
        writeln!(
            text,
            "  rpc {}({client}{}) returns ({server}{})",
            method.name(),
            unqualified(method.input_type()),
            unqualified(method.output_type()),
        )
        .unwrap();
    }
    text
}

fn render_enum(scope: &str, each: &EnumDescriptorProto) -> String {
    let mut text = format!("enum {scope}.{}\n", each.name());
    for value in &each.value {
        writeln!(text, "  {} = {}", value.name(), value.number()).unwrap();
    }
    text
}

/// Appends the message and whatever is declared inside it.
fn render_message(scope: &str, message: &DescriptorProto, items: &mut Vec<String>) {
    let name = format!("{scope}.{}", message.name());
    let mut text = format!("message {name}\n");
    for field in &message.field {
        writeln!(text, "  {}", render_field(message, field)).unwrap();
    }
    for range in &message.reserved_range {
        writeln!(text, "  reserved {} to {}", range.start(), range.end() - 1).unwrap();
    }
    for reserved in &message.reserved_name {
        writeln!(text, "  reserved {reserved}").unwrap();
    }
    items.push(text);
    items.extend(message.enum_type.iter().map(|each| render_enum(&name, each)));
    for nested in &message.nested_type {
        render_message(&name, nested, items);
    }
}

fn render_field(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let mut text = String::new();
    if field.label() == Label::Repeated {
        text.push_str("repeated ");
    }
    if field.proto3_optional() {
        text.push_str("optional ");
    }
    let kind = match field.r#type() {
        Type::Message | Type::Enum => unqualified(field.type_name()).to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_ascii_lowercase(),
    };
    write!(text, "{kind} {} = {}", field.name(), field.number()).unwrap();
    let oneof = field.oneof_index.filter(|_| !field.proto3_optional());
    if let Some(oneof) = oneof.and_then(|index| message.oneof_decl.get(usize::try_from(index).unwrap())) {
        write!(text, " (oneof {})", oneof.name()).unwrap();
    }
    if field.options.as_ref().is_some_and(|options| options.deprecated()) {
        text.push_str(" (deprecated)");
    }
    text
}

/// A type's full name without the leading dot, and without the contract's own package.
fn unqualified(name: &str) -> &str {
    let name = name.trim_start_matches('.');
    name.strip_prefix("chancery.v1.").unwrap_or(name)
}
