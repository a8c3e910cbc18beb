# The whole: network, parameters, rights, control plane, fixed workers. Joinery adds its own machines beside them; nothing
# here reads or changes those.

data "aws_region" "current" {}

locals {
  own_address = var.control_plane.private_ip != null ? var.control_plane.private_ip : module.network.first_address
  private_ip  = var.control_plane.machines == 1 ? local.own_address : null
}

module "network" {
  source = "../network"

  cluster       = var.cluster
  vpc_id        = var.network.vpc_id
  subnet_ids    = var.network.subnet_ids
  tag_subnets   = var.network.tag_subnets
  cidr          = var.network.cidr
  zones         = var.network.zones
  nat_per_zone  = var.network.nat_per_zone
  api_cidrs     = var.network.api_cidrs
  discovery_tag = var.network.discovery_tag
  pod_network   = var.pod_network.name
  tags          = var.tags
}

module "ssm" {
  source = "../ssm"

  cluster        = var.cluster
  create_kms_key = var.create_kms_key
  tags           = var.tags
}

module "interruption" {
  source = "../interruption"
  count  = var.interruption_queue ? 1 : 0

  cluster = var.cluster
  tags    = var.tags
}

module "iam" {
  source = "../iam"

  cluster                = var.cluster
  prefix                 = module.ssm.prefix
  discovery_tag          = module.network.discovery_tag
  kms_key_arn            = module.ssm.kms_key_arn
  use_kms_key            = var.create_kms_key
  queue_arn              = one(module.interruption[*].queue_arn)
  use_queue              = var.interruption_queue
  pull_from_ecr          = var.access.pull_from_ecr
  additional_policy_arns = var.access.additional_policy_arns
  permissions_boundary   = var.access.permissions_boundary
  create_spot_role       = var.access.create_spot_role
  tags                   = var.tags
}

module "manifests" {
  source = "../manifests"

  cluster          = var.cluster
  region           = data.aws_region.current.name
  prefix           = module.ssm.prefix
  kms_key_arn      = module.ssm.kms_key_arn
  discovery_tag    = module.network.discovery_tag
  instance_profile = module.iam.instance_profiles["node"]
  settings         = var.joinery.settings
  pool             = var.joinery.pool
}

module "control_plane" {
  source = "../control-plane"

  cluster                = var.cluster
  vpc_id                 = module.network.vpc_id
  subnet_ids             = module.network.subnet_ids
  security_group_ids     = [module.network.control_plane_security_group_id]
  instance_profile       = module.iam.instance_profiles["control-plane"]
  prefix                 = module.ssm.prefix
  kms_key_arn            = module.ssm.kms_key_arn
  kubernetes_version     = var.kubernetes_version
  machines               = var.control_plane.machines
  instance_type          = var.control_plane.instance_type
  volume_gib             = var.control_plane.volume_gib
  private_ip             = local.private_ip
  certificate_names      = var.control_plane.certificate_names
  pod_cidr               = var.control_plane.pod_cidr
  service_cidr           = var.control_plane.service_cidr
  termination_protection = var.control_plane.termination_protection
  pod_network            = var.pod_network
  architecture           = var.image.architecture
  image_id               = var.image.id
  key_name               = var.image.key_name
  tags                   = var.tags

  joinery = {
    wheel    = var.joinery.wheel
    sha256   = var.joinery.sha256
    settings = module.manifests.agent_yaml
  }
}

module "base_workers" {
  source = "../base-workers"

  cluster            = var.cluster
  groups             = var.base_workers
  subnet_ids         = module.network.subnet_ids
  security_group_ids = [module.network.nodes_security_group_id]
  instance_profile   = module.iam.instance_profiles["base"]
  facts_parameter    = module.ssm.facts_parameter
  architecture       = var.image.architecture
  image_id           = var.image.id
  key_name           = var.image.key_name
  tags               = var.tags
}
