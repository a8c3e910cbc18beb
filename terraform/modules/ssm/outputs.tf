output "prefix" {
  description = "Path of the parameters."
  value       = local.prefix

  # Machines refer to this output, and look for the parameters at their first boot.
  depends_on = [aws_ssm_parameter.control_plane_state, aws_ssm_parameter.join_facts]
}

output "facts_parameter" {
  description = "Name of the parameter with the join facts."
  value       = aws_ssm_parameter.join_facts.name
}

output "kms_key_arn" {
  description = "Key of the token; null for the account's own."
  value       = var.create_kms_key ? aws_kms_key.this[0].arn : var.kms_key_arn
}
