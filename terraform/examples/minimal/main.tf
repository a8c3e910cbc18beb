# A cluster to try: one control-plane machine, one fixed worker, and whatever Joinery adds. A VPC of its own.
#
#   terraform init
#   terraform apply -var wheel=https://example.com/joinery_agent-0.1.0-py3-none-any.whl

terraform {
  required_version = ">= 1.9.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "= 5.100.0"
    }
  }
}

provider "aws" {
  region = var.region
}

variable "region" {
  description = "AWS region."
  type        = string
  default     = "ap-northeast-2"
}

variable "wheel" {
  description = "Where the control plane gets Joinery: an https:// URL, or a path in its image."
  type        = string
}

module "cluster" {
  source = "../../modules/cluster"

  cluster            = "minimal"
  kubernetes_version = "1.35.3"

  network       = { zones = ["${var.region}a"] }
  control_plane = { instance_type = "t3.medium", termination_protection = false }
  base_workers  = { worker = { instance_type = "t3.small" } }
  joinery       = { wheel = var.wheel, settings = { maxNodes = 5 } }

  # Session Manager instead of SSH: aws ssm start-session --target INSTANCE
  access = { additional_policy_arns = { ssm = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore" } }
}

output "agent_yaml" {
  description = "/etc/joinery/agent.yaml."
  value       = module.cluster.agent_yaml
}

output "manifests_yaml" {
  description = "EC2NodeClass and NodePool: terraform output -raw manifests_yaml | kubectl apply -f -"
  value       = module.cluster.manifests_yaml
}

output "endpoint" {
  description = "host:port of the API server, inside the VPC."
  value       = module.cluster.endpoint
}

output "control_plane_instance_ids" {
  description = "The control plane's machines."
  value       = module.cluster.control_plane_instance_ids
}
