output "endpoint" {
  description = "host:port of the API server, inside the VPC."
  value       = module.control_plane.endpoint
}

output "control_plane_instance_ids" {
  description = "The control plane's machines."
  value       = module.control_plane.instance_ids
}

output "base_worker_instance_ids" {
  description = "The fixed workers by name."
  value       = module.base_workers.instance_ids
}

output "agent_yaml" {
  description = "/etc/joinery/agent.yaml, as the control plane has it."
  value       = module.manifests.agent_yaml
}

output "manifests_yaml" {
  description = "EC2NodeClass and NodePool, for kubectl apply."
  value       = module.manifests.manifests_yaml
}

output "interruption_queue" {
  description = "Name of the queue of interruption notices; null when there is none."
  value       = one(module.interruption[*].queue_name)
}

output "policies" {
  description = "The IAM policies by role and name."
  value       = module.iam.policies
}
