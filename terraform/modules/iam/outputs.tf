output "instance_profiles" {
  description = "Names of the instance profiles of the roles control-plane, base and node."
  value       = { for role, profile in aws_iam_instance_profile.this : role => profile.name }
}

output "policies" {
  description = "The documents, by role and name, to look at."
  value       = local.policies
}
