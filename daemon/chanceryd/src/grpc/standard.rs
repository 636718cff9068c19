//! The services that are gRPC's own: health and reflection.

use tonic::service::Routes;
use tonic_health::server::HealthReporter;
use tonic_reflection::server as reflection;

/// Adds health and reflection to the services of the contract.
///
/// # Errors
/// When the descriptors that were compiled in cannot be read.
pub fn with_health_and_reflection(routes: Routes) -> Result<(Routes, HealthReporter), reflection::Error> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let described = || {
        reflection::Builder::configure()
            .register_encoded_file_descriptor_set(chancery_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = routes
        .add_service(health)
        .add_service(described().build_v1()?)
        .add_service(described().build_v1alpha()?);
    Ok((routes, reporter))
}
